//! The arguments of the attribute `#[agent(…)]`.

use openagentmesh_name::AgentName;
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Token};

/// The parsed arguments.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<LitStr>,
    pub(crate) channel: Option<LitStr>,
    /// A string or a constant.
    pub(crate) description: Option<Expr>,
    pub(crate) tags: Vec<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) concurrency: Option<Expr>,
    pub(crate) queue: Option<Expr>,
    pub(crate) timeout: Option<Timeout>,
    /// A flag without a value.
    pub(crate) idempotent: bool,
}

/// The value of `timeout`.
pub(crate) struct Timeout {
    key: Ident,
    /// An expression of type `Duration`.
    pub(crate) duration: TokenStream,
}

impl Timeout {
    /// The error for an agent without requests that could time out.
    pub(crate) fn unsupported(&self, shape: &str) -> syn::Error {
        syn::Error::new(
            self.key.span(),
            format!("unsupported timeout: a {shape} runs while it is served; remove `timeout`"),
        )
    }
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
            timeout,
            idempotent,
        } = self;
        [description, version, concurrency, queue]
            .iter()
            .any(|given| given.is_some())
            || name.is_some()
            || !tags.is_empty()
            || timeout.is_some()
            || *idempotent
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
            if key == "idempotent" {
                if input.peek(Token![=]) {
                    return Err(syn::Error::new(
                        key.span(),
                        "invalid argument `idempotent`: a value is not allowed; write `idempotent`",
                    ));
                }
                arguments.idempotent = true;
                seen.push(key);
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
                continue;
            }
            if !input.peek(Token![=]) {
                return Err(syn::Error::new(
                    key.span(),
                    format!("missing value of argument `{key}`: write `{key} = …`"),
                ));
            }
            input.parse::<Token![=]>()?;
            let value = || input.parse::<Expr>();
            match key.to_string().as_str() {
                "name" => arguments.name = Some(name(&key, value()?)?),
                "channel" => arguments.channel = Some(name(&key, value()?)?),
                "description" => arguments.description = Some(text(&key, value()?)?),
                "version" => arguments.version = Some(text(&key, value()?)?),
                "concurrency" => arguments.concurrency = Some(at_least_one(&key, value()?)?),
                "queue" => arguments.queue = Some(number(&key, value()?)?),
                "tags" => arguments.tags = list(value()?)?,
                "timeout" => arguments.timeout = Some(timeout(&key, value()?)?),
                _ => {
                    return Err(syn::Error::new(
                        key.span(),
                        format!(
                            "unknown argument `{key}`: only name, channel, description, tags, \
                             version, concurrency, queue, timeout and idempotent are allowed"
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

/// The literal that an expression is; `None` for a constant or another expression.
fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        _ => None,
    }
}

fn name(key: &Ident, value: Expr) -> syn::Result<LitStr> {
    let Some(Lit::Str(name)) = literal(&value) else {
        return Err(syn::Error::new(
            value.span(),
            format!("invalid {key}: only a string literal is allowed; write `{key} = \"…\"`"),
        ));
    };
    AgentName::new(name.value()).map_err(|error| syn::Error::new(name.span(), error))?;
    Ok(name.clone())
}

/// A string, or a constant.
fn text(key: &Ident, value: Expr) -> syn::Result<Expr> {
    match literal(&value) {
        Some(Lit::Str(_)) | None => Ok(value),
        Some(other) => Err(syn::Error::new(
            other.span(),
            format!("invalid {key}: only a string is allowed; write `{key} = \"…\"`"),
        )),
    }
}

/// An integer, or a constant.
fn number(key: &Ident, value: Expr) -> syn::Result<Expr> {
    match literal(&value) {
        Some(Lit::Int(_)) | None => Ok(value),
        Some(other) => Err(syn::Error::new(
            other.span(),
            format!("invalid {key}: only an integer is allowed; write `{key} = 8`"),
        )),
    }
}

fn at_least_one(key: &Ident, value: Expr) -> syn::Result<Expr> {
    let value = number(key, value)?;
    if let Some(Lit::Int(limit)) = literal(&value)
        && limit.base10_parse::<usize>()? == 0
    {
        return Err(syn::Error::new(
            limit.span(),
            format!("invalid {key} 0: at least 1 is required"),
        ));
    }
    Ok(value)
}

fn list(value: Expr) -> syn::Result<Vec<Expr>> {
    let problem = |remedy: String| {
        let problem = format!("invalid tags: only a list of strings is allowed; write {remedy}");
        Err(syn::Error::new(value.span(), problem))
    };
    match &value {
        Expr::Array(list) => {
            let is_text = |tag: &&Expr| matches!(literal(tag), Some(Lit::Str(_)) | None);
            match list.elems.iter().find(|tag| !is_text(tag)) {
                None => Ok(list.elems.iter().cloned().collect()),
                Some(other) => Err(syn::Error::new(
                    other.span(),
                    "invalid tag: only a string is allowed; write `tags = [\"…\"]`",
                )),
            }
        }
        Expr::Lit(ExprLit {
            lit: Lit::Str(tag), ..
        }) => problem(format!("`tags = [{:?}]`", tag.value())),
        _ => problem("`tags = [\"…\"]`".to_owned()),
    }
}

/// A string of a number and a unit, or a constant of type `Duration`.
fn timeout(key: &Ident, value: Expr) -> syn::Result<Timeout> {
    let duration = match literal(&value) {
        None => quote!(#value),
        Some(Lit::Str(text)) => {
            let milliseconds = milliseconds(&text.value())
                .map_err(|reason| syn::Error::new(text.span(), reason))?;
            quote!(::core::time::Duration::from_millis(#milliseconds))
        }
        Some(other) => {
            return Err(syn::Error::new(
                other.span(),
                "invalid timeout: the unit is missing; write a string such as `timeout = \"30s\"`",
            ));
        }
    };
    let key = key.clone();
    Ok(Timeout { key, duration })
}

/// The units of a timeout, in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// The milliseconds of a text such as `30s`.
fn milliseconds(text: &str) -> Result<u64, String> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let milliseconds = match (number.parse::<u64>(), unit) {
        (Ok(number), Some((_, unit))) => number.checked_mul(*unit),
        _ => None,
    };
    match milliseconds {
        Some(0) => {
            Err("invalid timeout 0: it leaves no time to run; write a longer one".to_owned())
        }
        Some(milliseconds) => Ok(milliseconds),
        None => Err(format!(
            "invalid timeout {text:?}: only a whole number with the unit ms, s, m or h is allowed; \
             write for example \"500ms\", \"30s\" or \"5m\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn timeout_with_a_unit_is_a_duration() {
        for (text, expected) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(milliseconds(text), Ok(expected));
        }
    }

    #[test]
    fn timeout_without_a_unit_or_a_whole_number_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "1.5s",
            "-1s",
            "30 s",
            "1d",
            "0s",
            "99999999999999999999s",
        ] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
