//! Agents with state: the methods of an `impl` block that are marked with `#[agent]`.

use proc_macro2::TokenStream;
use syn::{Attribute, ImplItem, ImplItemFn, ItemImpl};

use crate::arguments::Arguments;
use crate::ast::AgentFunction;

/// Removes the `#[agent]` attributes of the methods; returns each with its method's index.
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

/// Parses the marked methods of a block.
pub(crate) fn parse(
    arguments: TokenStream,
    block: &ItemImpl,
    marks: &[(usize, Attribute)],
) -> syn::Result<Vec<AgentFunction>> {
    let shared: Arguments = syn::parse2(arguments.clone())?;
    if shared.has_more_than_a_channel() {
        return Err(syn::Error::new_spanned(
            arguments,
            "invalid argument of `#[agent]`: above an `impl` block only `channel` is allowed, which \
             applies to all of its agents; write the others above a method",
        ));
    }
    if block.trait_.is_some() || !block.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &block.self_ty,
            "unsupported `impl` block: traits and generic parameters are not allowed; write the \
             agents in an inherent `impl` block of a concrete type",
        ));
    }
    if marks.is_empty() {
        return Err(syn::Error::new_spanned(
            &block.self_ty,
            "`impl` block without agents: no method is marked; write `#[agent]` above each method \
             that is an agent",
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
            "unsupported receiver `&mut self`: requests run concurrently; take `&self` and keep \
             mutable state in a `Mutex` or an atomic",
        ));
    }
    let mut agent = AgentFunction::parse(arguments, &method.attrs, &method.sig)?;
    agent.visibility = Some(method.vis.clone());
    Ok(agent)
}
