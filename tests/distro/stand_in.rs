//! The stand-in for the distributions' programs.
