"""Which components, guides and samples serve a task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A task with the names of what serves it, separated by spaces."""

    title: str
    question: str
    """What is learned from what."""
    layers: str
    blocks: str = ""
    losses: str = ""
    metrics: str = ""
    pages: str = ""
    """Paths in docs/ without suffix."""
    samples: str = ""


TASKS = (
    Task(
        "Tables",
        "A class or a number from columns of numbers, categories, dates and texts.",
        layers="Imputation Normalization Discretization StringLookup IntegerLookup CategoryEncoding DateFeatures "
        "Embedding Concatenate Dense Dropout BatchNormalization",
        blocks="std.MLP",
        losses="binary_crossentropy sparse_categorical_crossentropy mean_squared_error",
        metrics="accuracy auc f1_score confusion_matrix mean_absolute_error r2_score",
        pages="guides/data/tables guides/data/missing-values guides/data/numbers-and-categories guides/data/dates "
        "guides/data/first-spec guides/training/imbalanced-classes start/from-scikit-learn",
        samples="penguins flights crashes diabetes",
    ),
    Task(
        "Regression",
        "Prices, counts, durations: one number or several, or an interval.",
        layers="Dense Normalization",
        losses="mean_squared_error mean_absolute_error huber log_cosh poisson quantile mean_squared_logarithmic_error",
        metrics="mean_absolute_error root_mean_squared_error r2_score mean_absolute_percentage_error "
        "pearson_correlation interval_coverage mean_pinball_loss",
        pages="guides/data/targets guides/data/intervals guides/training/losses",
        samples="diabetes bicycles",
    ),
    Task(
        "Classification",
        "One class of two, one of many, or several labels at once.",
        layers="Dense Softmax",
        losses="binary_crossentropy sparse_categorical_crossentropy categorical_crossentropy binary_focal_crossentropy "
        "categorical_focal_crossentropy hinge",
        metrics="accuracy auc precision recall f1_score fbeta_score confusion_matrix top_k_categorical_accuracy",
        pages="guides/data/classes guides/data/multi-label guides/training/imbalanced-classes "
        "guides/training/thresholds guides/training/metrics",
        samples="penguins crashes flights mnist_mlp",
    ),
    Task(
        "Images",
        "What an image shows.",
        layers="Rescaling Resizing CenterCrop RandomFlip RandomRotation RandomZoom RandomContrast RandAugment "
        "MixUp CutMix Conv2D SeparableConv2D DepthwiseConv2D MaxPooling2D GlobalAveragePooling2D BatchNormalization "
        "Flatten Dropout",
        blocks="std.Residual std.Bottleneck std.InvertedResidual std.SqueezeExcitation std.ConvNeXtBlock "
        "std.VisionTransformerLayer",
        losses="sparse_categorical_crossentropy categorical_crossentropy",
        metrics="sparse_categorical_accuracy sparse_top_k_categorical_accuracy confusion_matrix",
        pages="guides/data/images guides/data/augmentation guides/training/fine-tuning",
        samples="mnist_cnn textures digits_residual digits_transfer resnet50 mobilenet_v2 efficientnet_b0",
    ),
    Task(
        "Transfer learning",
        "A task with few samples, by a network that was trained on another one.",
        layers="GlobalAveragePooling2D Dense Dropout",
        losses="sparse_categorical_crossentropy categorical_crossentropy",
        metrics="accuracy sparse_categorical_accuracy",
        pages="guides/training/fine-tuning guides/training/models-from-elsewhere guides/training/lora "
        "guides/deploy/keras-files guides/deploy/hugging-face-folders start/from-keras",
        samples="digits_transfer",
    ),
    Task(
        "Small and fast models",
        "A model for phones, browsers and CPUs, in 8-bit integers.",
        layers="Conv2D DepthwiseConv2D SeparableConv2D BatchNormalization ReLU GlobalAveragePooling2D Dense",
        blocks="std.InvertedResidual",
        losses="sparse_categorical_crossentropy",
        metrics="accuracy",
        pages="guides/deploy/smaller-models guides/training/quantization-aware-training guides/training/distillation "
        "guides/deploy/small-devices",
        samples="digits_int8 mnist_cnn mobilenet_v2",
    ),
    Task(
        "Segmentation",
        "The class of each pixel.",
        layers="Conv2D Conv2DTranspose UpSampling2D MaxPooling2D Concatenate BatchNormalization",
        blocks="std.UNetDown std.UNetUp",
        losses="dice tversky binary_crossentropy sparse_categorical_crossentropy",
        metrics="binary_io_u mean_io_u one_hot_mean_io_u",
        pages="guides/data/segmentation",
        samples="nuclei unet",
    ),
    Task(
        "Texts",
        "What a text says, which word comes next, or a text from another.",
        layers="TextVectorization Tokenizer Embedding GlobalAveragePooling1D LSTM GRU Bidirectional Conv1D "
        "MultiHeadAttention GroupQueryAttention PositionEmbedding SinePositionEncoding RotaryEmbedding "
        "ReversibleEmbedding LayerNormalization RMSNormalization Masking",
        blocks="std.TransformerEncoder std.BertLayer std.ModernBertLayer std.TransformerDecoder "
        "std.TransformerCrossDecoder std.LlamaBlock",
        losses="sparse_categorical_crossentropy binary_crossentropy",
        metrics="sparse_categorical_accuracy accuracy",
        pages="guides/data/texts guides/data/tokenizers guides/data/sequences recipes/sequence-to-sequence "
        "recipes/word-vectors language/masks",
        samples="reviews reviews_tokens questions transformer",
    ),
    Task(
        "Time series",
        "The next values of a series, or what a sequence of measurements is.",
        layers="LSTM GRU SimpleRNN Bidirectional TimeDistributed Conv1D ConvLSTM1D Masking SequenceMask DateFeatures "
        "Normalization Cropping1D GlobalAveragePooling1D",
        blocks="std.TemporalConvolution std.TransformerEncoder",
        losses="mean_squared_error mean_absolute_error huber quantile",
        metrics="mean_absolute_error root_mean_squared_error mean_absolute_percentage_error interval_coverage",
        pages="guides/data/series guides/data/forecasts guides/data/sequences guides/data/intervals",
        samples="bicycles vowels_lstm",
    ),
    Task(
        "Audio",
        "What a recording contains.",
        layers="STFTSpectrogram MelSpectrogram Conv1D Conv2D LSTM GlobalAveragePooling2D",
        losses="sparse_categorical_crossentropy ctc",
        metrics="sparse_categorical_accuracy",
        pages="guides/data/audio",
        samples="vowels_lstm",
    ),
    Task(
        "Embeddings and recommendations",
        "Vectors of which those of like things are near to each other.",
        layers="Embedding UnitNormalization Dot AddLoss IntegerLookup StringLookup",
        losses="circle cosine_similarity",
        metrics="cosine_similarity auc",
        pages="recipes/recommendations recipes/siamese-network recipes/word-vectors language/losses-as-layers",
        samples="digits_contrastive",
    ),
    Task(
        "Generative models",
        "Images or texts like those of the data.",
        layers="random.normal random.uniform Conv2DTranspose UpSampling2D ReversibleEmbedding AddLoss",
        blocks="std.LlamaBlock std.TransformerDecoder",
        losses="binary_crossentropy mean_squared_error",
        pages="recipes/variational-autoencoder recipes/generative-adversarial-network",
        samples="transformer",
    ),
)
