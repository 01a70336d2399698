//! The processes of the examples, a scripted model, and the deadline of every wait.

mod deadline;
mod example;
mod scripted_model;

pub(crate) use deadline::within_deadline;
pub(crate) use example::{Example, PrintedCommand};
pub(crate) use scripted_model::ScriptedModel;
pub(crate) mod samples;
