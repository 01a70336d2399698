//! The arguments of the attribute.

use openagentmesh_name::AgentName;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitInt, LitStr, Token, bracketed};

/// What stands between the parentheses of `#[agent(…)]`.
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
    /// Whether anything is given that goes for one agent only.
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
                    format!("`{key}` is given twice"),
                ));
            }
            if !input.peek(Token![=]) {
                return Err(syn::Error::new(key.span(), format!("write `{key} = …`")));
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
                            "`{key}` is no argument of `#[agent]`; there are name, channel, \
                             description, tags, version, concurrency and queue"
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
            "an agent runs at least one request at once",
        ));
    }
    Ok(literal)
}
