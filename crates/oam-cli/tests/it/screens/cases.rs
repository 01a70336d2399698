//! The commands whose screens are compared. A new command needs a line here.

use super::content::Content::{self, Alone, Empty, Long, Many, One, Shop};

/// A line for the shell, and the meshes on which it runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) line: &'static str,
    pub(super) on: &'static [Content],
    /// A text after which the command is interrupted. Without one, the command ends by itself.
    pub(super) until: Option<&'static str>,
    /// A line that runs before the case, in each view.
    pub(super) before: Option<&'static str>,
    /// The output is data, whose lines may be wider than the terminal.
    pub(super) is_data: bool,
}

/// The contents of a list: no entry, one, 200, and texts that are long and wide.
const LIST: &[Content] = &[Empty, One, Many, Long];

/// Two meshes by name.
const CONTEXTS: &str = "oam context add home nats://127.0.0.1:1 && \
    oam context add the-mesh-of-the-accounting-department-in-the-second-building tls://mesh.accounting.example.com:4222";

/// Two users of a mesh. A line that begins with `oam` is the last command of its shell.
const USERS: &str = "true && oam auth init -q && oam auth user add -q ada --role observer && \
    oam auth user add -q the-workers-of-the-second-building --role worker --agent 'the.accounting.department.>' \
    --may-call shop.price --kv 'limits.>:rw' --files report.txt:rw";

const fn case(line: &'static str) -> Case {
    Case {
        line,
        on: &[Shop],
        until: None,
        before: None,
        is_data: false,
    }
}

impl Case {
    const fn on(mut self, on: &'static [Content]) -> Self {
        self.on = on;
        self
    }

    const fn until(mut self, text: &'static str) -> Self {
        self.until = Some(text);
        self
    }

    const fn before(mut self, line: &'static str) -> Self {
        self.before = Some(line);
        self
    }

    const fn data(mut self) -> Self {
        self.is_data = true;
        self
    }
}

pub(super) const CASES: &[Case] = &[
    // The program.
    case("oam --version"),
    case("oam nosuch"),
    case("oam mesh lsten"),
    case("oam kv put"),
    case("oam kv list --jsn"),
    case("oam kv list --jsn --json"),
    case("oam mesh up --url nats://127.0.0.1:1"),
    case("oam agent call shop.price 1 --timeout 5parsecs"),
    case("oam demo")
        .on(&[Alone])
        .until("Ctrl-C stops the mesh."),
    case("oam completions bash").on(&[Alone]).data(),
    case("oam completions nosuch").on(&[Alone]),
    case("oam man pages").on(&[Alone]),
    case("oam version").data(),
    case("oam version --json"),
    case("oam version --client").on(&[Alone]).data(),
    case("oam self uninstall").on(&[Alone]).data(),
    case("oam self uninstall --yes --json")
        .on(&[Alone])
        .before("mkdir -p ~/.agentmesh/bin"),
    case("oam completions fish").on(&[Alone]).data(),
    case("oam man").on(&[Alone]).data(),
    case("oam self uninstall --yes").on(&[Alone]),
    // oam context
    case("oam context list").on(&[Alone]),
    case("oam context list").on(&[Alone]).before(CONTEXTS),
    case("oam context list --json")
        .on(&[Alone])
        .before(CONTEXTS),
    case("oam context add home nats://127.0.0.1:1").on(&[Alone]),
    case("oam context add home nats://127.0.0.1:1")
        .on(&[Alone])
        .before(CONTEXTS),
    case("oam context use home").on(&[Alone]).before(CONTEXTS),
    case("oam context use hom").on(&[Alone]).before(CONTEXTS),
    case("oam context show").on(&[Alone]),
    case("oam context show home").on(&[Alone]).before(CONTEXTS),
    case("oam context remove home")
        .on(&[Alone])
        .before(CONTEXTS),
    // oam mesh
    case("oam mesh up --port 0").on(&[Alone]),
    case("oam mesh up --port 0")
        .on(&[Alone])
        .before("oam mesh up --port 0 -q"),
    case("oam mesh up --port 0 --foreground")
        .on(&[Alone])
        .until("Ctrl-C"),
    case("oam mesh down").on(&[Alone]),
    case("oam mesh down")
        .on(&[Alone])
        .before("oam mesh up --port 0 -q"),
    case("oam mesh down --purge").on(&[Alone]),
    case("oam mesh list").on(&[Alone]),
    case("oam mesh list --json").on(&[Alone]),
    case("oam mesh logs").on(&[Alone]),
    case("oam mesh connect $SHOP").on(&[Alone]),
    case("oam mesh connect nats://127.0.0.1:1").on(&[Alone]),
    case("oam mesh init").on(&[Shop]),
    case("oam mesh init --json"),
    case("oam mesh status").on(LIST),
    case("oam mesh status --json").on(&[One]),
    case("oam mesh monitor").until("standby").data(),
    case("oam mesh catalog").on(LIST),
    case("oam mesh catalog --wide").on(&[Long]).data(),
    case("oam mesh catalog --compact").on(LIST).data(),
    case("oam mesh catalog --json").on(&[Empty, One, Long]),
    case("oam mesh catalog --tag nosuch").on(&[One, Many]),
    case("oam mesh catalog --watch")
        .on(&[One])
        .until("shop.price")
        .data(),
    case("oam mesh catalog --url nats://127.0.0.1:1").on(&[Alone]),
    case("oam mesh repair").on(&[Empty, One]),
    case("oam mesh repair --json").on(&[One]),
    case("oam mesh listen mesh.agent.shop.orders.events")
        .until("tea")
        .data(),
    case("oam mesh listen 'a b'"),
    case("oam mesh publish orders.new '{\"item\": \"tea\"}'"),
    // oam auth
    case("oam auth init").on(&[Alone]),
    case("oam auth init")
        .on(&[Alone])
        .before("oam auth init -q"),
    case("oam auth user add shop-1 --role worker --agent 'shop.>'")
        .on(&[Alone])
        .before("oam auth init -q"),
    case("oam auth user add shop-1 --role worker")
        .on(&[Alone])
        .before("oam auth init -q"),
    case("oam auth user add shop-1 --role worker --may-call '>' --agent shop.price --json")
        .on(&[Alone])
        .before("oam auth init -q"),
    case("oam auth user list").on(&[Alone]),
    case("oam auth user list").on(&[Alone]).before(USERS),
    case("oam auth user list --json").on(&[Alone]).before(USERS),
    case("oam auth user rotate ada").on(&[Alone]).before(USERS),
    case("oam auth user revoke ada").on(&[Alone]).before(USERS),
    case("oam auth user revoke adda").on(&[Alone]).before(USERS),
    case("oam auth whoami").on(&[One]),
    case("oam auth whoami --json").on(&[One]),
    case("oam auth server-conf")
        .on(&[Alone])
        .before(USERS)
        .data(),
    case("oam auth explain ada")
        .on(&[Alone])
        .before(USERS)
        .data(),
    case("oam auth explain --role invoker --agent 'shop.>' --kv none")
        .on(&[Alone])
        .data(),
    case("oam auth explain --table").on(&[Alone]).data(),
    // oam agent
    case("oam agent list").on(LIST),
    case("oam agent contract shop.price"),
    case("oam agent contract shop.price --format text"),
    case("oam agent contract shop.price --format openai"),
    case("oam agent contract shop.price --format a2a"),
    case("oam agent contract shop.orders --format anthropic"),
    case("oam agent contract nosuch"),
    case("oam agent call shop.price '{\"item\": \"tea\"}'").data(),
    case("oam agent call shop.price '{\"item\": 5}'"),
    case("oam agent call shop.price '{\"item\": 5}' --json"),
    case("oam agent call shop.price '{\"item\": \"gold\"}'"),
    case("oam agent call shop.price tea"),
    case("oam agent call shop.price '{'"),
    case("oam agent call shop.prise '{\"item\": \"tea\"}'"),
    case("oam agent call shop.orders"),
    case("oam agent call shop.broken"),
    case("oam agent stream shop.menu '\"drinks\"'").data(),
    case("oam agent stream shop.price '{\"item\": \"tea\"}'"),
    case("oam agent subscribe shop.orders").until("tea").data(),
    case("oam agent subscribe shop.price"),
    case("oam agent call shop.price --example").data(),
    case("oam agent send shop.visits"),
    // oam tools, oam conform
    case("oam tools").on(&[Empty, One]),
    case("oam tools --json").on(&[One]),
    case("oam conform host shop.visits"),
    case("oam conform host nosuch"),
    case("oam conform caller --timeout 100ms"),
    // oam kv
    case("oam kv list").on(LIST),
    case("oam kv list --json").on(&[Empty, One, Long]),
    case("oam kv list 'nosuch.*'").on(&[One]),
    case("oam kv get limits.retries").on(&[One]).data(),
    case("oam kv get limits.retries --json").on(&[One]),
    case("oam kv get limits.retrys").on(&[One]),
    case("oam kv get bytes"),
    case("oam kv put limits.depth 3"),
    case("oam kv put limits.depth 3 --json"),
    case("oam kv put 'a b' 3"),
    case("oam kv create fresh 1").before("oam kv delete fresh"),
    case("oam kv create taken 1").before("oam kv put taken 1"),
    case("oam kv delete stale").before("oam kv put stale 1"),
    case("oam kv delete old --json").before("oam kv put old 1"),
    case("oam kv delete nosuch"),
    case("oam kv update counted 2 --revision 1").before("oam kv put counted 1"),
    case("oam kv history limits.retries").on(&[One]),
    case("oam kv watch").on(&[One]).until("retries").data(),
    case("oam kv watch").on(&[Long]).until("last").data(),
    // oam workspace
    case("oam workspace list").on(LIST),
    case("oam workspace list --json").on(&[Empty, One]),
    case("oam workspace list nosuch").on(&[One]),
    case("oam workspace info reports/2026.txt").on(&[One]),
    case("oam workspace info reports/2026.txt --json").on(&[One]),
    case("oam workspace info '報告/四半期の売上と費用の一覧 📈.txt'").on(&[Long]),
    case("oam workspace info nosuch").on(&[One]),
    case("oam workspace get reports/2026.txt -")
        .on(&[One])
        .data(),
    case("oam workspace get reports/2026.txt")
        .on(&[One])
        .before("rm -f 2026.txt"),
    case("oam workspace get nosuch").on(&[One]),
    case("oam workspace put notes.txt notes.txt").before("echo notes > notes.txt"),
    case("oam workspace put notes.txt nosuch.txt"),
    case("oam workspace delete old.txt").before("echo old | oam workspace put old.txt"),
    case("oam workspace delete zzz"),
];
