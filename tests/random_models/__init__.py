"""Random whole models: one integer is one valid spec, and oracles that hold the compiler to several promises on it."""
