//! `oam`, the command line of OpenAgentMesh.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(oam_cli::main(std::env::args_os().collect()))
}
