//! The arguments of the attribute `#[agent(…)]`.

use openagentmesh_name::AgentName;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitInt, LitStr, Token, bracketed};

/// The parsed arguments.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<LitStr>,
    pub(crate) channel: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) concurrency: Option<LitInt>,
    pub(crate) queue: Option<LitInt>,
}

impl Arguments {
    /// Whether any argument is given that applies to one agent only: all but `channel`.
    pub(crate) fn has_more_than_a_channel(&self) -> bool {
        let Self {
            name,
            channel: _,
            description,
            tags,
            version,
            concurrency,
            queue,
        } = self;
        [name, description, version]
            .iter()
            .any(|given| given.is_some())
            || !tags.is_empty()
            || concurrency.is_some()
            || queue.is_some()
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if seen.contains(&key) {
                return Err(syn::Error::new(
                    key.span(),
                    format!("duplicate argument `{key}`: write it once"),
                ));
            }
            if !input.peek(Token![=]) {
                return Err(syn::Error::new(
                    key.span(),
                    format!("missing value of argument `{key}`: write `{key} = …`"),
                ));
            }
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "name" => arguments.name = Some(checked_name(input)?),
                "channel" => arguments.channel = Some(checked_name(input)?),
                "description" => arguments.description = Some(input.parse()?),
                "version" => arguments.version = Some(input.parse()?),
                "concurrency" => arguments.concurrency = Some(at_least_one(input)?),
                "queue" => arguments.queue = Some(input.parse()?),
                "tags" => {
                    let tags;
                    bracketed!(tags in input);
                    let tags = Punctuated::<LitStr, Token![,]>::parse_terminated(&tags)?;
                    arguments.tags = tags.into_iter().collect();
                }
                _ => {
                    return Err(syn::Error::new(
                        key.span(),
                        format!(
                            "unknown argument `{key}`: only name, channel, description, tags, \
                             version, concurrency and queue are allowed"
                        ),
                    ));
                }
            }
            seen.push(key);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

fn checked_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let literal: LitStr = input.parse()?;
    AgentName::new(literal.value()).map_err(|error| syn::Error::new(literal.span(), error))?;
    Ok(literal)
}

fn at_least_one(input: ParseStream<'_>) -> syn::Result<LitInt> {
    let literal: LitInt = input.parse()?;
    if literal.base10_parse::<usize>()? == 0 {
        return Err(syn::Error::new(
            literal.span(),
            "invalid concurrency 0: at least 1 is required",
        ));
    }
    Ok(literal)
}
