use std::borrow::Cow;
use std::time::Duration;

use futures::StreamExt;
use openagentmesh::{AgentMesh, CatalogChange, CatalogEntry, CatalogFilter};
use serde::Serialize;

use crate::cli::MeshCatalog;
use crate::connection::connect;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::line::Line;
use crate::live;
use crate::printer::{Printer, STRONG};
use crate::table::Column;
use crate::text::on_one_line;

/// The limit of the wait for the repair of a malformed catalog, and the interval of the checks.
const REPAIR_TIMEOUT: Duration = Duration::from_secs(5);
const REPAIR_INTERVAL: Duration = Duration::from_millis(100);

const COLUMNS: [Column; 4] = [
    Column::key("NAME"),
    Column::whole("USE", 1),
    Column::text("TAGS", 3),
    Column::text("DESCRIPTION", 2),
];

pub(crate) async fn run(arguments: MeshCatalog, printer: &Printer) -> Result<ExitCode, Failure> {
    let show = match (printer.is_json(), arguments.compact) {
        (true, true) => {
            return Err(Failure::usage("--compact and --json exclude each other")
                .hint("leave one of them out"));
        }
        (true, false) => Show::Json,
        (false, true) => Show::Compact,
        (false, false) => Show::Table,
    };
    let filter = filter(&arguments);
    let mesh = connect(arguments.target).await?;
    await_repair(&mesh, printer).await?;
    note_invalid(&mesh, printer).await?;
    if arguments.watch {
        return watch(mesh, filter, show, arguments.count, printer).await;
    }
    let mut entries = mesh.catalog().filter(filter).await?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    match show {
        Show::Json => printer.json(&entries)?,
        Show::Compact => {
            for entry in &entries {
                printer.data_line(compact(entry))?;
            }
        }
        Show::Table if entries.is_empty() => {}
        Show::Table => printer.table(COLUMNS, entries.iter().map(row))?,
    }
    if entries.is_empty() && !printer.is_json() {
        let all = mesh.catalog().await?.len();
        printer.note(match all {
            0 => format!("no agents on the mesh at {}", mesh.url()),
            1 => "the one agent on this mesh does not match".to_owned(),
            _ => format!("none of the {all} agents on this mesh matches"),
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// Reports a malformed catalog, and waits for a host to repair it. If none does in time, the query that follows has the
/// error.
async fn await_repair(mesh: &AgentMesh, printer: &Printer) -> Result<(), Failure> {
    let Some(problem) = mesh.catalog().problem().await? else {
        return Ok(());
    };
    printer.note(format!("{problem}; waiting for a host to repair it"));
    let end = tokio::time::Instant::now() + REPAIR_TIMEOUT;
    while mesh.catalog().problem().await?.is_some() && tokio::time::Instant::now() < end {
        tokio::time::sleep(REPAIR_INTERVAL).await;
    }
    Ok(())
}

/// Reports the entries that are not listed.
async fn note_invalid(mesh: &AgentMesh, printer: &Printer) -> Result<(), Failure> {
    match mesh.catalog().count_invalid().await? {
        0 => {}
        1 => printer.note("left out 1 entry of the catalog whose name is not that of an agent"),
        count => printer.note(format!(
            "left out {count} entries of the catalog whose names are not those of agents"
        )),
    }
    Ok(())
}

/// The output format of a catalog entry.
#[derive(Clone, Copy)]
enum Show {
    Table,
    Compact,
    Json,
}

fn filter(arguments: &MeshCatalog) -> CatalogFilter {
    let mut filter = CatalogFilter::default();
    if let Some(channel) = &arguments.channel {
        filter = filter.channel(channel);
    }
    for tag in &arguments.tags {
        filter = filter.tag(tag);
    }
    if let Some(streaming) = arguments.streaming {
        filter = filter.streaming(streaming);
    }
    if let Some(invocable) = arguments.invocable {
        filter = filter.invocable(invocable);
    }
    filter
}

async fn watch(
    mesh: AgentMesh,
    filter: CatalogFilter,
    show: Show,
    count: Option<usize>,
    printer: &Printer,
) -> Result<ExitCode, Failure> {
    let changes = mesh.catalog().filter(filter).watch();
    printer.hint_for_people("watching the catalog; Ctrl-C ends it");
    let lines = changes.map(|change| line(&change, show, printer));
    let ended = live::print(printer, lines, count, live::shutdown_signal()).await;
    live::leave(mesh).await?;
    Ok(ended?.into())
}

fn line(change: &CatalogChange, show: Show, printer: &Printer) -> Result<Line, Failure> {
    #[derive(Serialize)]
    struct Change<'c> {
        change: &'static str,
        agent: &'c CatalogEntry,
    }

    let (sign, word) = match change {
        CatalogChange::Added(_) => ("+", "added"),
        CatalogChange::Removed(_) => ("-", "removed"),
        // The enum is non-exhaustive; the entry of any other kind is current.
        _ => ("~", "changed"),
    };
    let agent = change.entry();
    let name = on_one_line(&agent.name);
    let line = match (show, change) {
        (Show::Json, _) => {
            let change = Change {
                change: word,
                agent,
            };
            return printer.json_line(&change);
        }
        (_, CatalogChange::Removed(_)) => format!("{sign} {STRONG}{name}{STRONG:#}"),
        (Show::Compact, _) => format!("{sign} {}", compact(agent)),
        (Show::Table, _) => {
            let description = on_one_line(&agent.description);
            let line = format!("{sign} {STRONG}{name}{STRONG:#}  {description}");
            line.trim_end().to_owned()
        }
    };
    Ok(line.into())
}

fn compact(entry: &CatalogEntry) -> String {
    on_one_line(&entry.to_compact())
}

fn row(entry: &CatalogEntry) -> [Cow<'_, str>; 4] {
    [
        (&entry.name).into(),
        how_to_use(entry).into(),
        entry.tags.join(", ").into(),
        (&entry.description).into(),
    ]
}

/// The verb of the agent.
fn how_to_use(entry: &CatalogEntry) -> &'static str {
    match (entry.invocable, entry.streaming) {
        (true, false) => "call",
        (true, true) => "stream",
        (false, true) => "subscribe",
        (false, false) => "-",
    }
}
