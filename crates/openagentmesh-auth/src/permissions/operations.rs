//! The rows of the table: what the roles are about, and the detours to what a role lacks.

use super::rules::Action;
use super::rules::Action::{Publish, Subscribe};

/// The operations in words, with their subjects, below the titles of their topics.
pub(super) const ROWS: &[(&str, Action, &str)] = &[
    ("Identity and replies", Publish, ""),
    ("ask the server who it is", Publish, "$SYS.REQ.USER.INFO"),
    ("receive its own replies", Subscribe, "_INBOX.{ada}.>"),
    (
        "receive the replies of another user",
        Subscribe,
        "_INBOX.bob.>",
    ),
    ("receive all replies", Subscribe, "_INBOX.>"),
    (
        "receive replies by a guessed inbox",
        Subscribe,
        "_INBOX.*.>",
    ),
    ("receive its own streams", Subscribe, "mesh.stream.{ada}.>"),
    (
        "receive the streams of another user",
        Subscribe,
        "mesh.stream.bob.>",
    ),
    ("receive all streams", Subscribe, "mesh.stream.>"),
    (
        "receive the results of its own sends",
        Subscribe,
        "mesh.results.{ada}.>",
    ),
    (
        "receive the results of another user's sends",
        Subscribe,
        "mesh.results.bob.>",
    ),
    ("answer or credit", Publish, "_INBOX.bob.x.1"),
    (
        "publish a chunk of a stream",
        Publish,
        "mesh.stream.bob.x.1",
    ),
    (
        "publish the result of a send",
        Publish,
        "mesh.results.bob.x.1",
    ),
    ("see everything", Subscribe, ">"),
    ("see all of the mesh", Subscribe, "mesh.>"),
    //
    ("Agents", Publish, ""),
    ("call the agent shop.price", Publish, "mesh.agent.{agent}"),
    (
        "call it at one instance",
        Publish,
        "mesh.instance.bob.x.request.{agent}",
    ),
    ("call the agent bank.pay", Publish, "mesh.agent.bank.pay"),
    (
        "call it at one instance",
        Publish,
        "mesh.instance.bob.x.request.bank.pay",
    ),
    (
        "receive requests to shop.price",
        Subscribe,
        "mesh.agent.{agent}",
    ),
    (
        "receive requests to bank.pay",
        Subscribe,
        "mesh.agent.bank.pay",
    ),
    ("receive requests to all agents", Subscribe, "mesh.agent.>"),
    (
        "receive requests to a channel",
        Subscribe,
        "mesh.agent.shop.*",
    ),
    (
        "receive requests to shop.price at its own process",
        Subscribe,
        "mesh.instance.{instance}.request.{agent}",
    ),
    (
        "receive requests to bank.pay at its own process",
        Subscribe,
        "mesh.instance.{instance}.request.bank.pay",
    ),
    (
        "receive all requests to its own process",
        Subscribe,
        "mesh.instance.{instance}.request.>",
    ),
    (
        "receive requests to another process",
        Subscribe,
        "mesh.instance.bob.x.request.>",
    ),
    (
        "receive events of shop.price",
        Subscribe,
        "mesh.agent.{agent}.events",
    ),
    (
        "receive events of bank.pay",
        Subscribe,
        "mesh.agent.bank.pay.events",
    ),
    (
        "publish events of shop.price",
        Publish,
        "mesh.agent.{agent}.events",
    ),
    (
        "publish events of bank.pay",
        Publish,
        "mesh.agent.bank.pay.events",
    ),
    //
    ("Catalog, contracts, processes", Publish, ""),
    (
        "read the catalog",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-catalog",
    ),
    ("follow the catalog", Subscribe, "$KV.mesh-catalog.>"),
    ("write the catalog", Publish, "$KV.mesh-catalog.catalog"),
    (
        "read contracts",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-registry",
    ),
    ("follow contracts", Subscribe, "$KV.mesh-registry.>"),
    (
        "write the contract of shop.price",
        Publish,
        "$KV.mesh-registry.{agent}",
    ),
    (
        "write the contract of bank.pay",
        Publish,
        "$KV.mesh-registry.bank.pay",
    ),
    (
        "read the records of processes",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-instances",
    ),
    (
        "follow the records of processes",
        Subscribe,
        "$KV.mesh-instances.>",
    ),
    (
        "write its own record",
        Publish,
        "$KV.mesh-instances.{instance}",
    ),
    (
        "write the record of another user's process",
        Publish,
        "$KV.mesh-instances.bob.x",
    ),
    (
        "read the lease of the monitor",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-leases",
    ),
    (
        "take the lease of the monitor",
        Publish,
        "$KV.mesh-leases.monitor",
    ),
    //
    ("Logs, errors, deaths", Publish, ""),
    ("follow logs", Subscribe, "mesh.logs.>"),
    ("log for shop.price", Publish, "mesh.logs.{agent}"),
    ("log for bank.pay", Publish, "mesh.logs.bank.pay"),
    (
        "read the log levels",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-observability",
    ),
    ("set a log level", Publish, "$KV.mesh-observability.global"),
    ("follow errors", Subscribe, "mesh.errors.>"),
    (
        "report an error of shop.price",
        Publish,
        "mesh.errors.{agent}",
    ),
    (
        "report an error of bank.pay",
        Publish,
        "mesh.errors.bank.pay",
    ),
    ("learn of the deaths of agents", Subscribe, "mesh.death.>"),
    (
        "announce the death of shop.price",
        Publish,
        "mesh.death.{agent}",
    ),
    (
        "announce the death of bank.pay",
        Publish,
        "mesh.death.bank.pay",
    ),
    (
        "learn that a process is down",
        Subscribe,
        "mesh.instance.*.*.down",
    ),
    (
        "announce that a process is down",
        Publish,
        "mesh.instance.bob.x.down",
    ),
    ("learn of disconnects", Subscribe, "mesh.sys.disconnect"),
    ("announce a disconnect", Publish, "mesh.sys.disconnect"),
    (
        "list the connections",
        Publish,
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
    ),
    ("administer the server", Publish, "$SYS.REQ.SERVER.PING"),
    ("learn of the account's events", Subscribe, "$SYS.>"),
    //
    ("Shared values and files", Publish, ""),
    (
        "read values",
        Publish,
        "$JS.API.STREAM.MSG.GET.KV_mesh-context",
    ),
    (
        "get a value directly",
        Publish,
        "$JS.API.DIRECT.GET.KV_mesh-context.$KV.mesh-context.a",
    ),
    ("follow values", Subscribe, "$KV.mesh-context.>"),
    ("write a value", Publish, "$KV.mesh-context.a"),
    (
        "read files",
        Publish,
        "$JS.API.STREAM.MSG.GET.OBJ_mesh-artifacts",
    ),
    (
        "get files directly",
        Publish,
        "$JS.API.DIRECT.GET.OBJ_mesh-artifacts",
    ),
    ("follow files", Subscribe, "$O.mesh-artifacts.M.>"),
    ("write a file", Publish, "$O.mesh-artifacts.M.YQ=="),
    (
        "write the chunks of a file",
        Publish,
        "$O.mesh-artifacts.C.x",
    ),
    //
    ("Storage and detours", Publish, ""),
    (
        "see the state of a bucket",
        Publish,
        "$JS.API.STREAM.INFO.KV_mesh-catalog",
    ),
    (
        "see the state of any stream",
        Publish,
        "$JS.API.STREAM.INFO.other",
    ),
    ("see the account", Publish, "$JS.API.INFO"),
    ("list streams", Publish, "$JS.API.STREAM.LIST"),
    ("name streams", Publish, "$JS.API.STREAM.NAMES"),
    ("read any stream", Publish, "$JS.API.STREAM.MSG.GET.other"),
    (
        "read the catalog directly",
        Publish,
        "$JS.API.DIRECT.GET.KV_mesh-catalog",
    ),
    (
        "create a stream, as a mirror, or one that republishes",
        Publish,
        "$JS.API.STREAM.CREATE.mirror",
    ),
    (
        "change a bucket, as to republish",
        Publish,
        "$JS.API.STREAM.UPDATE.KV_mesh-context",
    ),
    (
        "purge a bucket",
        Publish,
        "$JS.API.STREAM.PURGE.KV_mesh-catalog",
    ),
    (
        "delete a bucket",
        Publish,
        "$JS.API.STREAM.DELETE.KV_mesh-instances",
    ),
    (
        "delete a stored message",
        Publish,
        "$JS.API.STREAM.MSG.DELETE.KV_mesh-catalog",
    ),
    ("restore a stream", Publish, "$JS.API.STREAM.RESTORE.other"),
    (
        "take a snapshot of a bucket",
        Publish,
        "$JS.API.STREAM.SNAPSHOT.KV_mesh-context",
    ),
    (
        "create a consumer of a bucket, as a push consumer",
        Publish,
        "$JS.API.CONSUMER.CREATE.KV_mesh-catalog",
    ),
    (
        "create a named consumer of a bucket",
        Publish,
        "$JS.API.CONSUMER.CREATE.KV_mesh-catalog.c.$KV.mesh-catalog.>",
    ),
    (
        "create a durable consumer of a bucket",
        Publish,
        "$JS.API.CONSUMER.DURABLE.CREATE.KV_mesh-catalog.c",
    ),
    (
        "create a consumer of another stream",
        Publish,
        "$JS.API.CONSUMER.CREATE.other",
    ),
    (
        "pull from a consumer",
        Publish,
        "$JS.API.CONSUMER.MSG.NEXT.KV_mesh-catalog.c",
    ),
    (
        "acknowledge messages of a consumer",
        Publish,
        "$JS.ACK.KV_mesh-catalog.c.1.1.1.1.1",
    ),
    ("answer as a service", Subscribe, "$SRV.PING"),
    ("ask all services", Publish, "$SRV.INFO"),
    ("use a subject of another program", Publish, "orders.new"),
];
