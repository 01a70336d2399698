//! The table in the documentation is the one that the code makes.

use std::path::Path;

use openagentmesh_auth::table;

const BEGIN: &str = "<!-- The table of oam auth explain --table begins. -->\n\n";
const END: &str = "\n<!-- The table ends. -->";

/// `OAM_UPDATE_DOCS=1 cargo test -p openagentmesh-auth` writes the table into the page.
#[test]
fn documented_table_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/permissions.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (documented, after) = rest.split_once(END).unwrap();
    let current = table::markdown().unwrap();
    if std::env::var_os("OAM_UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{current}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(documented, current, "run with OAM_UPDATE_DOCS=1");
}
