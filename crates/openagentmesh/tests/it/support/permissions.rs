//! The permissions of users with least privilege, in the syntax of the server's configuration.

/// The permissions of one user.
#[derive(Default)]
pub(crate) struct Permissions {
    publish: Vec<String>,
    subscribe: Vec<String>,
    denied: Vec<String>,
}

/// The deepest segment of an agent's name whose events a permission names.
const MAX_DEPTH: usize = 8;

/// The subjects of the events of `agents`: a name, `channel.>` or `>`.
fn events(agents: &str) -> Vec<String> {
    let Some(channel) = agents.strip_suffix('>') else {
        return vec![format!("mesh.agent.{agents}.events")];
    };
    (1..=MAX_DEPTH)
        .map(|depth| format!("mesh.agent.{channel}{}.events", vec!["*"; depth].join(".")))
        .collect()
}

impl Permissions {
    /// What every user may do.
    pub(crate) fn of(user: &str) -> Self {
        let mut permissions = Self::default();
        permissions.publish(["$SYS.REQ.USER.INFO".to_owned()]);
        permissions.subscribe([format!("_INBOX.{user}.>")]);
        permissions
    }

    fn publish(&mut self, subjects: impl IntoIterator<Item = String>) {
        self.publish.extend(subjects);
    }

    fn subscribe(&mut self, subjects: impl IntoIterator<Item = String>) {
        self.subscribe.extend(subjects);
    }

    fn subscribe_to_downs(&mut self) {
        let downs = [
            "mesh.death.>",
            "mesh.instance.*.down",
            "mesh.instance.*.*.down",
        ];
        self.subscribe(downs.map(str::to_owned));
    }

    /// Reads a key-value bucket.
    pub(crate) fn reading(mut self, bucket: &str) -> Self {
        self.publish([
            format!("$JS.API.STREAM.INFO.KV_{bucket}"),
            format!("$JS.API.STREAM.MSG.GET.KV_{bucket}"),
        ]);
        self.subscribe([format!("$KV.{bucket}.>")]);
        self
    }

    /// Reads all keys, and writes those that `written` matches.
    pub(crate) fn kv(self, written: Option<&str>) -> Self {
        let mut permissions = self.reading("mesh-context");
        let subjects = written.map(|keys| format!("$KV.mesh-context.{keys}"));
        permissions.publish(subjects);
        permissions
    }

    /// Reads all files, and writes them if `writes`.
    pub(crate) fn files(mut self, writes: bool) -> Self {
        let requests = ["STREAM.INFO", "STREAM.MSG.GET"];
        self.publish(requests.map(|request| format!("$JS.API.{request}.OBJ_mesh-artifacts")));
        self.subscribe(["$O.mesh-artifacts.M.>".to_owned()]);
        if writes {
            self.publish(["$O.mesh-artifacts.>".to_owned()]);
        }
        self
    }

    pub(crate) fn observer(user: &str) -> Self {
        let mut permissions = Self::of(user);
        for bucket in [
            "catalog",
            "registry",
            "instances",
            "observability",
            "leases",
        ] {
            permissions = permissions.reading(&format!("mesh-{bucket}"));
        }
        permissions.subscribe(["mesh.logs.>", "mesh.errors.>"].map(str::to_owned));
        permissions.subscribe_to_downs();
        permissions.subscribe(events(">"));
        permissions
    }

    /// Calls `agents`: a name, `channel.>` or `>`.
    pub(crate) fn invoker(user: &str, agents: &str) -> Self {
        let mut permissions = Self::of(user);
        for bucket in ["catalog", "registry", "instances"] {
            permissions = permissions.reading(&format!("mesh-{bucket}"));
        }
        permissions.publish([
            format!("mesh.agent.{agents}"),
            format!("mesh.instance.*.*.request.{agents}"),
            "_INBOX.>".to_owned(),
        ]);
        permissions.subscribe([
            format!("mesh.stream.{user}.>"),
            format!("mesh.results.{user}.>"),
        ]);
        permissions.subscribe_to_downs();
        if agents.ends_with('>') {
            permissions.denied.extend(events(agents));
        }
        permissions.subscribe(events(agents));
        permissions
    }

    /// Serves `agents`.
    pub(crate) fn worker(user: &str, agents: &str) -> Self {
        let mut permissions = Self::of(user);
        for bucket in ["catalog", "registry", "instances", "observability"] {
            permissions = permissions.reading(&format!("mesh-{bucket}"));
        }
        permissions.publish([
            format!("$KV.mesh-registry.{agents}"),
            format!("$KV.mesh-instances.{user}.>"),
            format!("mesh.logs.{agents}"),
            format!("mesh.errors.{agents}"),
            format!("mesh.death.{agents}"),
        ]);
        permissions.publish(events(agents));
        permissions.publish(["_INBOX.>", "mesh.stream.>", "mesh.results.>"].map(str::to_owned));
        permissions.subscribe([
            format!("mesh.agent.{agents}"),
            format!("mesh.instance.{user}.*.request.{agents}"),
        ]);
        permissions.subscribe_to_downs();
        permissions
    }

    pub(crate) fn to_configuration(&self) -> String {
        let list = |subjects: &[String]| {
            let quoted = subjects.iter().map(|subject| format!("{subject:?}"));
            quoted.collect::<Vec<_>>().join(", ")
        };
        format!(
            "publish: {{ allow: [{}], deny: [{}] }}, subscribe: {{ allow: [{}] }}",
            list(&self.publish),
            list(&self.denied),
            list(&self.subscribe)
        )
    }
}
