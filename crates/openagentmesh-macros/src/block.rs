//! Agents with state: the marked methods of an `impl` block.

use proc_macro2::TokenStream;
use syn::{Attribute, ImplItem, ImplItemFn, ItemImpl};

use crate::arguments::Arguments;
use crate::ast::AgentFunction;

/// Takes the marks off the methods, each with the method's position in the block.
pub(crate) fn take_marks(block: &mut ItemImpl) -> Vec<(usize, Attribute)> {
    let is_mark = |attribute: &Attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|segment| segment.ident == "agent")
    };
    let mut marks = Vec::new();
    for (index, item) in block.items.iter_mut().enumerate() {
        if let ImplItem::Fn(method) = item
            && let Some(position) = method.attrs.iter().position(is_mark)
        {
            marks.push((index, method.attrs.remove(position)));
        }
    }
    marks
}

/// The agents of a block.
pub(crate) fn parse(
    arguments: TokenStream,
    block: &ItemImpl,
    marks: &[(usize, Attribute)],
) -> syn::Result<Vec<AgentFunction>> {
    let shared: Arguments = syn::parse2(arguments.clone())?;
    if shared.has_more_than_a_channel() {
        return Err(syn::Error::new_spanned(
            arguments,
            "above an `impl` block, `#[agent]` takes `channel` only, which goes for all of its \
             agents; the rest stands above each method",
        ));
    }
    if block.trait_.is_some() || !block.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &block.self_ty,
            "the agents of a type stand in an `impl` block of its own, without a trait and without \
             generic parameters",
        ));
    }
    if marks.is_empty() {
        return Err(syn::Error::new_spanned(
            &block.self_ty,
            "none of these methods is an agent: write `#[agent]` above those that are to be",
        ));
    }
    marks
        .iter()
        .filter_map(|(index, mark)| match &block.items[*index] {
            ImplItem::Fn(method) => Some(parse_method(&shared, mark, method)),
            _ => None,
        })
        .collect()
}

fn parse_method(
    shared: &Arguments,
    mark: &Attribute,
    method: &ImplItemFn,
) -> syn::Result<AgentFunction> {
    let mut arguments: Arguments = match &mark.meta {
        syn::Meta::Path(_) => Arguments::default(),
        _ => mark.parse_args()?,
    };
    if arguments.channel.is_none() {
        arguments.channel.clone_from(&shared.channel);
    }
    if let Some(receiver) = method.sig.receiver()
        && receiver.mutability.is_some()
        && receiver.reference.is_some()
    {
        return Err(syn::Error::new_spanned(
            receiver,
            "requests run at the same time, so that none can have the value to itself: take \
             `&self`, and keep what changes in a `Mutex` or an atomic",
        ));
    }
    AgentFunction::parse(arguments, &method.attrs, &method.sig)
}
