# /// script
# requires-python = ">=3.11"
# dependencies = ["tokenizers==0.23.3"]
# ///
"""Make the pairs of questions in this folder, and the tokenizers of the samples.

    python make_questions.py [FOLDER]        # default: the folder this script lies in

The questions were written for this sample, eight for each of 24 concerns. Two runs give the same tables. The trainer of
the package tokenizers breaks ties at random: a tokenizer that is trained again may have other rare tokens.
"""

import csv
import random
import sys
from itertools import combinations
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QUESTIONS = """
How do I reset my password?
I forgot my password, what now?
Where can I choose a new password?
My password does not work any more.
Is there a way to recover a lost password?
Please help me to change my password.
I cannot remember my password.
What should I do to get a new password?

How can I cancel my order?
I want to cancel an order that I placed today.
Is it possible to cancel what I ordered?
Please cancel my order.
Can an order still be cancelled?
I ordered by mistake and want to cancel.
Where is the button to cancel an order?
How long can I cancel an order?

Where is my parcel?
My parcel has not arrived yet.
How can I track my parcel?
When will my parcel be delivered?
The parcel is late, where is it?
Can you tell me where my parcel is now?
I am still waiting for my parcel.
Track the delivery of my parcel, please.

How do I return an item?
I want to send the item back.
Can I return shoes that do not fit?
Where do I send an item that I return?
Do you take back items that I have worn?
How many days do I have to return an item?
Please tell me how returns work.
I would like to return what I bought.

When do I get my money back?
My refund has not arrived.
How long does a refund take?
Where is the refund for my item?
Will the refund go to my card?
I am waiting for my money back.
Has my refund been paid?
How is a refund paid out?

How can I pay?
Which cards do you accept for payment?
Is payment by invoice possible?
Can I pay by bank transfer?
My payment was declined.
What ways of payment are there?
Do you accept payment in cash?
Why can I not pay by card?

Can I change my address?
I have moved, what about my address?
Where do I enter a new address?
The address of my account is wrong.
Please correct my street and town.
How do I update my address?
My address has changed since last week.
Can you send it to another address?

How do I delete my account?
Please close my account.
I want my account removed.
Where can I delete my account for good?
I do not need the account any longer.
What happens if I close my account?
Can I remove my account and my data?
How to get rid of my account?

Do you have a shop in my town?
Where is your nearest shop?
Is there a shop near me?
Which towns have one of your shops?
I am looking for a shop close to the station.
Can I visit one of your shops?
Where do I find your shops?
How far is the next shop?

When are you open?
What are your opening hours?
Are you open on Sundays?
Until what hour are you open tonight?
Do you open on holidays?
At what time do you open in the morning?
When do you close on Saturdays?
Are the opening hours longer in summer?

Do you have this in a larger size?
Which size fits me?
The size is too small.
Is there a table of sizes?
How do I measure my size?
Do the sizes run small?
I need another size of this shirt.
Is size forty available?

Is this still in stock?
When will it be back in stock?
The lamp is out of stock.
How many are left in stock?
Can you tell me once it is in stock again?
Why is it never in stock?
Is the blue one available from stock?
Do you have more of these in stock?

How much is shipping?
What does shipping abroad cost?
Is shipping free?
From what sum on is shipping free?
Why is shipping so expensive?
How are the costs of shipping computed?
What do you charge for shipping?
Are there costs for shipping to an island?

My item is broken.
The glass arrived broken.
What do I do with a damaged item?
It came in pieces and is broken.
The box was damaged and so is the item.
There is a crack in the broken plate.
Do you replace damaged items?
I got a broken lamp.

How long is the warranty?
Is there a warranty on this watch?
Does the warranty cover water?
My warranty has run out.
Where do I find the terms of the warranty?
Can I extend the warranty?
Do you repair it under warranty?
Two years of warranty, is that right?

How do I use a voucher?
My voucher code is not accepted.
Where do I enter the code of a voucher?
Until when is the voucher valid?
Can I use two vouchers at once?
I have lost my voucher.
Do you sell vouchers as a present?
Is there a voucher for new customers?

I need an invoice.
Where do I find my invoice?
Please send the invoice once more.
The invoice has a wrong name.
Can I have the invoice as a file?
Is there an invoice in the box?
My invoice does not show the tax.
How do I get an invoice for my firm?

How do I talk to a person?
Is there a number that I can call?
I want to speak with somebody by phone.
What is your telephone number?
Can you call me back?
Please let me talk to your staff.
Nobody answers the phone.
How can I reach you by phone?

How do I unsubscribe from the newsletter?
Stop sending me the newsletter.
I get too many newsletters.
Where can I sign up for the newsletter?
How often is there a newsletter?
The newsletter does not reach me.
Please take me off the list of the newsletter.
What is in your newsletter?

The app crashes.
Your app does not start on my phone.
How do I install the app?
Is there an app for tablets?
The app shows an error.
After the update the app is slow.
Where can I download your app?
The app keeps closing by itself.

Are your jobs open to students?
I would like to work for you.
How do I apply for a job?
Do you have jobs for the summer?
Where are your jobs listed?
What do I need to apply for this job?
Has my application for the job arrived?
Is there a job in the warehouse?

What is it made of?
Is the shirt made of cotton?
Is the material safe for children?
Which material is the bag made of?
Does the material contain wool?
Is the leather real?
What kind of wood is it made of?
Is it made of recycled material?

How do I wash this?
Can it be washed in a machine?
At what temperature may I wash it?
Will the colour fade when I wash it?
Is it safe to iron after washing?
May I put it into the dryer after the wash?
How should I clean and wash the blanket?
Washing has shrunk my pullover.

Do you wrap presents?
Can you wrap it as a present?
I would like to add a card to the present.
Is wrapping of presents free?
Please send it as a present without the price.
How much does it cost to wrap a present?
Which paper do you use to wrap presents?
Can the present be delivered on a birthday?
"""
TRAINING_PHRASES = 6
"""Questions of each concern that are in the training data; the pairs for testing have the others."""
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def pairs(questions, rng):
    """As many pairs of the same concern as of different ones."""
    same = [pair for concern in questions for pair in combinations(concern, 2)]
    different = []
    while len(different) < len(same):
        first, second = rng.sample(questions, 2)
        different.append((rng.choice(first), rng.choice(second)))
    rows = [(*pair, "yes") for pair in same] + [(*pair, "no") for pair in different]
    rng.shuffle(rows)
    return rows


def test_pairs(known, new, rng):
    """Pairs of a question that training has not seen with one that it has, or with another new one."""
    rows = []
    for index, questions in enumerate(new):
        for question in questions:
            others = [other for other in range(len(new)) if other != index]
            rows += [(question, other, "yes") for other in rng.sample(known[index], 3)]
            rows += [(question, rng.choice(known[other]), "no") for other in rng.sample(others, 3)]
    rng.shuffle(rows)
    return rows


def save(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["first", "second", "same"])
        writer.writerows(rows)


def save_tokenizer(path, texts, size):
    """Trains a tokenizer as BERT has it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.save(str(path), pretty=False)


def main(folder):
    rng = random.Random(0)
    questions = [concern.splitlines() for concern in QUESTIONS.strip().split("\n\n")]
    known = [concern[:TRAINING_PHRASES] for concern in questions]
    new = [concern[TRAINING_PHRASES:] for concern in questions]
    save(folder / "questions_train.csv", pairs(known, rng))
    save(folder / "questions_test.csv", test_pairs(known, new, rng))
    save_tokenizer(folder / "questions_tokenizer.json", [text for concern in known for text in concern], 600)
    with open(folder / "reviews_train.csv", encoding="utf-8", newline="") as file:
        save_tokenizer(folder / "reviews_tokenizer.json", [row["review"] for row in csv.DictReader(file)], 3000)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
