//! A keyword and its value, read as what it must be.

use serde_json::{Map, Number, Value};

use crate::schema::validator::message::shown;
use crate::schema::validator::pattern::Pattern;
use crate::schema::validator::rule::Types;

#[derive(Clone, Copy)]
pub(super) struct Keyword<'s, 'l> {
    pub(super) name: &'l str,
    pub(super) value: &'s Value,
    /// Where the schema is that has it.
    within: &'l str,
}

impl<'s, 'l> Keyword<'s, 'l> {
    pub(super) fn new(within: &'l str, name: &'l str, value: &'s Value) -> Self {
        Self {
            name,
            value,
            within,
        }
    }

    /// Another keyword of the same schema.
    pub(super) fn beside<'o>(&self, name: &'o str, value: &'s Value) -> Keyword<'s, 'o>
    where
        'l: 'o,
    {
        Keyword::new(self.within, name, value)
    }

    pub(super) fn location(&self) -> String {
        format!("{}/{}", self.within, self.name)
    }

    /// That the value is not `what` it must be.
    pub(super) fn no(&self, what: &str) -> String {
        self.wrong(&format!("{} is not {what}", shown(self.value)))
    }

    pub(super) fn wrong(&self, reason: &str) -> String {
        let location = match self.name {
            "" => self.within.to_owned(),
            _ => self.location(),
        };
        match location.as_str() {
            "" => reason.to_owned(),
            location => format!("at {location}, {reason}"),
        }
    }

    pub(super) fn list(&self) -> Result<&'s [Value], String> {
        let list = self.value.as_array().ok_or_else(|| self.no("a list"))?;
        Ok(list)
    }

    pub(super) fn members(&self) -> Result<&'s Map<String, Value>, String> {
        self.value.as_object().ok_or_else(|| self.no("an object"))
    }

    pub(super) fn text(&self) -> Result<&'s str, String> {
        self.value.as_str().ok_or_else(|| self.no("a string"))
    }

    pub(super) fn flag(&self) -> Result<bool, String> {
        self.value.as_bool().ok_or_else(|| self.no("true or false"))
    }

    pub(super) fn number(&self) -> Result<&'s Number, String> {
        self.value.as_number().ok_or_else(|| self.no("a number"))
    }

    pub(super) fn divisor(&self) -> Result<&'s Number, String> {
        let divisor = self.number()?;
        match divisor.as_f64() {
            Some(positive) if positive > 0.0 => Ok(divisor),
            _ => Err(self.no("a number above 0")),
        }
    }

    /// A whole number, which may be written as 2.0.
    pub(super) fn count(&self) -> Result<u64, String> {
        let whole = |float: f64| float.fract() == 0.0 && (0.0..=9e15).contains(&float);
        let float = self.value.as_f64().filter(|float| whole(*float));
        self.value
            .as_u64()
            .or(float.map(|float| float as u64))
            .ok_or_else(|| self.no("a whole number of 0 or more"))
    }

    pub(super) fn types(&self) -> Result<Types, String> {
        let names = match self.value {
            Value::Array(names) => names.as_slice(),
            name => std::slice::from_ref(name),
        };
        let types = names
            .iter()
            .map(|name| name.as_str().and_then(Types::named));
        types
            .collect::<Option<Vec<_>>>()
            .map(|types| types.into_iter().fold(Types::default(), Types::and))
            .ok_or_else(|| self.no("a type, or a list of types"))
    }

    pub(super) fn names(&self) -> Result<Vec<String>, String> {
        let names = self.list()?.iter();
        names
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| self.no("a list of strings"))
    }

    pub(super) fn names_by_name(&self) -> Result<Vec<(String, Vec<String>)>, String> {
        let location = self.location();
        let members = self.members()?.iter();
        members
            .map(|(name, value)| {
                let names = Keyword::new(&location, name, value).names()?;
                Ok((name.clone(), names))
            })
            .collect()
    }

    pub(super) fn pattern(&self, source: &str) -> Result<Pattern, String> {
        Pattern::new(source)
            .map_err(|reason| self.wrong(&format!("\"{source}\" is not a pattern: {reason}")))
    }
}
