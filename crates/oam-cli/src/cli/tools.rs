//! `oam tools`.

use clap::{Args, ValueEnum};

use super::target::Target;

#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Form of the tools
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: ToolsFormat,
    /// Make tools strict, where the input allows it (with --format openai, openai-responses)
    #[arg(long)]
    pub(crate) strict: bool,
    /// Only agents of this channel (the name starts with it)
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// Only agents with this tag; may be repeated
    #[arg(long = "tag")]
    pub(crate) tags: Vec<String>,
}

/// Form of the tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ToolsFormat {
    /// For the chat API of OpenAI
    #[default]
    Openai,
    /// For the responses API of OpenAI
    OpenaiResponses,
    /// For the messages API of Anthropic
    Anthropic,
    /// Of no provider: name, description and input_schema
    Neutral,
}
