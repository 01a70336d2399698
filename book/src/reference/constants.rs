//! The constants of the crates that bound a time, a size or a number.

use std::fs;
use std::path::Path;

use syn::visit::Visit;
use syn::{Attribute, BinOp, Expr, Ident, ImplItemConst, ItemConst, ItemMod, Lit, Meta};

use crate::pages;

/// The folders of the sources whose constants are limits of the software.
const SOURCES: &[&str] = &[
    "crates/openagentmesh/src",
    "crates/openagentmesh-conform/src",
    "crates/openagentmesh-monitor/src",
    "crates/openagentmesh-local/src",
    "crates/openagentmesh-name/src",
    "crates/openagentmesh-protocol/src",
    "crates/oam-cli/src",
    "python/src",
];

/// A constant.
pub(super) struct Constant {
    /// The path of its file in the repository.
    pub(super) file: String,
    pub(super) name: String,
    /// The first sentence of its docs.
    pub(super) meaning: String,
    pub(super) value: String,
}

/// All constants, in the order of their files.
///
/// # Errors
///
/// The file that cannot be read or parsed.
pub(super) fn all() -> Result<Vec<Constant>, String> {
    let mut found = Vec::new();
    for folder in SOURCES {
        read(&pages::repository().join(folder), &mut found)?;
    }
    Ok(found)
}

fn read(folder: &Path, found: &mut Vec<Constant>) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(fail)?;
    let mut paths: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(fail)?;
    paths.sort();
    for path in paths {
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if is_test {
            continue;
        }
        if path.is_dir() {
            read(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(fail)?;
            let parsed = syn::parse_file(&text)
                .map_err(|error| format!("cannot parse {}: {error}", path.display()))?;
            let shown = path.strip_prefix(pages::repository()).unwrap_or(&path);
            let mut visitor = Visitor {
                file: shown.display().to_string(),
                found,
            };
            visitor.visit_file(&parsed);
        }
    }
    Ok(())
}

struct Visitor<'a> {
    file: String,
    found: &'a mut Vec<Constant>,
}

impl Visitor<'_> {
    fn add(&mut self, name: &Ident, expression: &Expr, attributes: &[Attribute]) {
        if let Some(value) = value(expression) {
            self.found.push(Constant {
                file: self.file.clone(),
                name: name.to_string(),
                meaning: meaning(attributes),
                value: value.shown(&name.to_string()),
            });
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_const(&mut self, constant: &'ast ItemConst) {
        self.add(&constant.ident, &constant.expr, &constant.attrs);
    }

    fn visit_impl_item_const(&mut self, constant: &'ast ImplItemConst) {
        self.add(&constant.ident, &constant.expr, &constant.attrs);
    }
}

/// The first sentence of the docs, in one line.
fn meaning(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        let Expr::Lit(literal) = &pair.value else {
            return None;
        };
        match &literal.lit {
            Lit::Str(text) if pair.path.is_ident("doc") => Some(text.value().trim().to_owned()),
            _ => None,
        }
    });
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let text = lines.join(" ");
    let sentence = text.split_inclusive(". ").next().unwrap_or_default();
    sentence.trim().replace('|', "\\|")
}

/// The value of a constant.
#[derive(Clone, Copy)]
enum Value {
    Number(f64),
    Microseconds(f64),
}

impl Value {
    /// The value with its unit: that of a duration, or bytes if the name says so.
    fn shown(self, name: &str) -> String {
        match self {
            Self::Microseconds(time) if time < 1e3 => format!("{time} µs"),
            Self::Microseconds(time) if time < 1e6 => format!("{} ms", time / 1e3),
            Self::Microseconds(time) if time < 120e6 => format!("{} s", time / 1e6),
            Self::Microseconds(time) if time < 120.0 * 60e6 => format!("{} min", time / 60e6),
            Self::Microseconds(time) => format!("{} h", time / 3_600e6),
            // A port is a name rather than a quantity.
            Self::Number(port) if name.ends_with("PORT") => port.to_string(),
            Self::Number(number) if !is_size(name) => grouped(number),
            Self::Number(bytes) => {
                let units = [("MiB", 1024.0 * 1024.0), ("KiB", 1024.0)];
                let whole = |(_, unit): &&(&str, f64)| bytes >= *unit && bytes % unit == 0.0;
                match units.iter().find(whole) {
                    Some((name, unit)) => format!("{} {name}", bytes / unit),
                    None => format!("{} bytes", grouped(bytes)),
                }
            }
        }
    }
}

fn is_size(name: &str) -> bool {
    ["BYTES", "PAYLOAD"].iter().any(|word| name.ends_with(word))
}

/// A number with commas between thousands.
fn grouped(number: f64) -> String {
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction {
        "" => grouped,
        fraction => format!("{grouped}.{fraction}"),
    }
}

/// The value of an expression of literals; `None` for all others.
fn value(expression: &Expr) -> Option<Value> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => Some(Value::Number(number.base10_parse().ok()?)),
            Lit::Float(number) => Some(Value::Number(number.base10_parse().ok()?)),
            _ => None,
        },
        Expr::Paren(inner) => value(&inner.expr),
        Expr::Binary(binary) => {
            let (Value::Number(left), Value::Number(right)) =
                (value(&binary.left)?, value(&binary.right)?)
            else {
                return None;
            };
            match binary.op {
                BinOp::Mul(_) => Some(Value::Number(left * right)),
                BinOp::Add(_) => Some(Value::Number(left + right)),
                BinOp::Shl(_) => Some(Value::Number(left * right.exp2())),
                _ => None,
            }
        }
        Expr::MethodCall(call) if call.method == "unwrap" => value(&call.receiver),
        Expr::Call(call) => {
            let Expr::Path(function) = &*call.func else {
                return None;
            };
            let name = function.path.segments.last()?.ident.to_string();
            let Value::Number(number) = value(call.args.first()?)? else {
                return None;
            };
            let factor = match name.as_str() {
                "from_secs" | "from_secs_f64" => 1e6,
                "from_millis" => 1e3,
                "from_micros" => 1.0,
                "new" | "Some" => return Some(Value::Number(number)),
                _ => return None,
            };
            Some(Value::Microseconds(number * factor))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, code: &str) -> Option<String> {
        value(&syn::parse_str(code).unwrap()).map(|value| value.shown(name))
    }

    #[test]
    fn values_have_units() {
        for (name, code, expected) in [
            ("A_TIMEOUT", "Duration::from_millis(250)", "250 ms"),
            ("A_TIMEOUT", "Duration::from_secs(15 * 60)", "15 min"),
            ("A_TIMEOUT", "Duration::from_secs(90)", "90 s"),
            ("MAX_BYTES", "4 * 1024 * 1024", "4 MiB"),
            ("MAX_BYTES", "10_000", "10,000 bytes"),
            ("MAX_NAMES", "10_000", "10,000"),
            ("N", "NonZeroUsize::new(64).unwrap()", "64"),
        ] {
            assert_eq!(shown(name, code).as_deref(), Some(expected), "{code}");
        }
        assert_eq!(shown("N", "size_of::<u8>()"), None);
        assert_eq!(shown("N", "\"text\""), None);
    }

    #[test]
    fn meaning_is_the_first_sentence() {
        let item: ItemConst =
            syn::parse_str("/// The time\n/// of a. Second.\n///\n/// More.\nconst A: u8 = 1;")
                .unwrap();
        assert_eq!(meaning(&item.attrs), "The time of a.");
    }
}
