//! The pages of the book as modules. `cargo test -p book --doc` compiles and runs their Rust blocks.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

include!(concat!(env!("OUT_DIR"), "/pages.rs"));
