//! A contract for people: its fields in tables, and a command to paste.

use openagentmesh::Contract;
use openagentmesh::protocol::Verb;
use serde_json::Value;

use crate::failure::Failure;
use crate::printer::Printer;
use crate::schema::{self, Example, Field, Fields};
use crate::table::Column;
use crate::text::{on_one_line, printable};
use crate::{json, shell};

/// A longer input is not part of a command to paste.
const MAX_PASTED_BYTES: usize = 2_000;

const COLUMNS: [Column; 4] = [
    Column::key("FIELD"),
    Column::text("TYPE", 1),
    Column::text("DEFAULT", 2),
    Column::text("DESCRIPTION", 3),
];

/// Prints the description of the agent, the fields of its values, and a command that uses it.
pub(super) fn print(contract: &Contract, printer: &Printer) -> Result<(), Failure> {
    printer.title(contract.name.as_str())?;
    if !contract.description.is_empty() {
        printer.line(printable(&contract.description))?;
    }
    printer.line("")?;
    let verb = contract.capabilities.verb();
    printer.field("Verb", verb_name(verb))?;
    printer.field("Version", on_one_line(&contract.version))?;
    if !contract.tags.is_empty() {
        printer.field("Tags", on_one_line(&contract.tags.join(", ")))?;
    }
    let mut sections = Sections {
        printer,
        is_after_table: false,
    };
    let any = Value::Bool(true);
    if contract.capabilities.invocable {
        sections.print("Input", contract.input_schema.as_ref())?;
    }
    let chunk = contract.chunk_schema.as_ref().unwrap_or(&any);
    match verb {
        Some(Verb::Call) => sections.print("Output", contract.output_schema.as_ref())?,
        Some(Verb::Stream) => sections.print("Chunk", Some(chunk))?,
        Some(Verb::Subscribe) => sections.print("Event", Some(chunk))?,
        _ => return Ok(()),
    }
    printer.line("")?;
    command(contract, verb, printer)
}

fn verb_name(verb: Option<Verb>) -> &'static str {
    match verb {
        Some(Verb::Call) => "call",
        Some(Verb::Stream) => "stream",
        Some(Verb::Subscribe) => "subscribe",
        _ => "none: the agent works in the background",
    }
}

/// The values of an agent, one after the other.
struct Sections<'p> {
    printer: &'p Printer,
    is_after_table: bool,
}

impl Sections<'_> {
    /// Prints the fields of a value as a table. A value without fields is one line.
    fn print(&mut self, title: &str, schema: Option<&Value>) -> Result<(), Failure> {
        let printer = self.printer;
        let fields = schema.map(schema::fields).unwrap_or_default();
        let is_table = fields.rows.iter().any(|field| !field.name.is_empty());
        if is_table || self.is_after_table {
            printer.line("")?;
        }
        self.is_after_table = is_table;
        if is_table {
            return table(title, fields, printer);
        }
        let Some(only) = fields.rows.first() else {
            return printer.field(title, "nothing");
        };
        printer.field(title, &only.kind)?;
        match only.description.is_empty() {
            true => Ok(()),
            false => printer.field("", &only.description),
        }
    }
}

fn table(title: &str, fields: Fields, printer: &Printer) -> Result<(), Failure> {
    printer.title(title)?;
    printer.table(COLUMNS, fields.rows.into_iter().map(row))?;
    if fields.is_truncated {
        printer.note("further fields are left out; --json prints the whole schema");
    }
    Ok(())
}

fn row(field: Field) -> [String; 4] {
    let name = match field.name.as_str() {
        "" => "(value)".to_owned(),
        _ => field.name,
    };
    let default = match (field.required, field.default) {
        (true, _) => "required".to_owned(),
        (false, Some(default)) => default,
        (false, None) => "-".to_owned(),
    };
    [name, field.kind, default, field.description]
}

/// A command that uses the agent.
fn command(contract: &Contract, verb: Option<Verb>, printer: &Printer) -> Result<(), Failure> {
    let start = format!(
        "oam agent {} {}",
        verb_name(verb),
        shell::word(contract.name.as_str())
    );
    let Some(schema) = contract
        .input_schema
        .as_ref()
        .filter(|_| contract.capabilities.invocable)
    else {
        return printer.command(&start, "");
    };
    let Example { value, problem } = schema::command_input(schema);
    let input = json::on_one_line(&value.to_string());
    if input.len() > MAX_PASTED_BYTES {
        return printer.command(&format!("{start} --example"), "");
    }
    printer.command(&format!("{start} {}", shell::word(&input)), "")?;
    if let Some(problem) = problem {
        printer.note(format!(
            "the input of the command is a guess that may be refused: {problem}"
        ));
    }
    Ok(())
}
