//! The members of `agents![…]`.

use syn::{Error, Result, Type};

use crate::syntax::text;

/// Refuses the path of a method: an agent of an `impl` block is made of a value.
pub(crate) fn check(agent: Type) -> Result<Type> {
    let mut path = &agent;
    while let Type::Group(group) = path {
        path = &group.elem;
    }
    let Type::Path(path) = path else {
        return Ok(agent);
    };
    let mut segments = path.path.segments.iter().rev().skip(1);
    let is_type = |name: String| name.starts_with(char::is_uppercase);
    match segments.next().map(|segment| segment.ident.to_string()) {
        Some(owner) if is_type(owner.clone()) => Err(Error::new_spanned(
            path,
            format!(
                "method in a list of functions: an agent of an `impl` block shares a value; write \
                 `{owner}::agents(value)` instead of `agents![{}]`, and both in a tuple: \
                 `(agents![f, g], {owner}::agents(value))`",
                text(path)
            ),
        )),
        _ => Ok(agent),
    }
}
