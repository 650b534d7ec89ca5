//! Build-time code generation.

fn main() {}
