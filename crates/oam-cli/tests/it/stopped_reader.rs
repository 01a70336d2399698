//! Every command into a pipe that is closed, into a pipe whose reader stops, and with the options of the output onto a full
//! device.

use std::io::{PipeReader, Write, pipe};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Running, Sandbox, TestMesh, within_deadline};
use crate::unwritable_output::{COMMANDS, LOCAL_COMMANDS, assert_lost, run, start_mesh};

/// Sets values and files back, so that every command has a result.
async fn reset(mesh: &TestMesh) {
    let kv = mesh.client.kv();
    kv.put("a", "1").await.unwrap();
    mesh.client.workspace().put("f", "abc").await.unwrap();
}

/// A key that no value has had.
fn new_key() -> &'static str {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("new{}", NEXT.fetch_add(1, Ordering::Relaxed)).leak()
}

/// All commands, with the mesh. Those that set up or end a mesh of their own come last.
fn commands(mesh: &TestMesh) -> impl Iterator<Item = Vec<&str>> {
    let url = ["--url", &mesh.url];
    let connected = COMMANDS.iter().map(move |command| {
        let mut command = [command, &url[..]].concat();
        if let ["kv", "create" | "update", key, ..] = &mut command[..] {
            *key = new_key();
        }
        command
    });
    connected.chain([vec!["mesh", "connect", &mesh.url]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_in_any_form_on_a_full_device_is_an_error() {
    let mesh = start_mesh().await;
    for options in [&["--pretty"][..], &["--quiet"], &["--wide"]] {
        for command in commands(&mesh) {
            // A combination that is refused.
            let has_no_json = command.contains(&"--compact") || command.contains(&"--text");
            if has_no_json && options == ["--pretty"] {
                continue;
            }
            reset(&mesh).await;
            assert_lost(mesh.sandbox.command(&[&command[..], options].concat())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_ends_every_command_without_an_error() {
    let mesh = start_mesh().await;
    let own = Sandbox::new();
    let connected = commands(&mesh).map(|command| (command, &mesh.sandbox));
    let local = LOCAL_COMMANDS
        .iter()
        .map(|command| (command.to_vec(), &own));
    for (command, sandbox) in connected.chain(local) {
        reset(&mesh).await;
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut running = sandbox.command(&command);
        running.stdout(writer);
        let output = run(running).await;
        assert_eq!(output.code, 0, "{command:?}: {output:?}");
        assert!(!output.stderr.contains("error"), "{command:?}: {output:?}");
    }
    assert_eq!(own.url(), None, "the mesh is stopped");
}

/// A pipe that is full: the next write waits for a reader.
fn full_pipe() -> (PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    while writer.write(b"\n").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

/// Waits until a thread of the process waits for the reader of a pipe. Other systems than Linux do not tell; there the
/// signal may arrive before the write.
async fn blocked_in_write(pid: u32) {
    let waits = || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten();
        let channels = threads
            .flatten()
            .map(|thread| std::fs::read_to_string(thread.path().join("wchan")));
        channels
            .flatten()
            .any(|channel| channel.contains("pipe_write"))
    };
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(2));
    within_deadline("write into the full pipe", async {
        while !waits() {
            interval.tick().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_ends_every_command_whose_reader_has_stopped() {
    let mesh = start_mesh().await;
    let start = |mut command: Command| {
        let (reader, writer) = full_pipe();
        command.stdout(writer);
        (Running::start_without_stdout(command), reader)
    };
    let mut blocked = Vec::new();
    for command in commands(&mesh) {
        reset(&mesh).await;
        let (running, reader) = start(mesh.sandbox.command(&command));
        blocked_in_write(running.id()).await;
        blocked.push((command, running, reader));
    }
    let signals = ["-INT", "-TERM"].into_iter().cycle();
    for ((_, running, _), signal) in blocked.iter().zip(signals) {
        running.signal(signal);
    }
    for (command, mut running, _reader) in blocked {
        let (status, stderr) = running.end().await;
        assert!(!stderr.contains("error"), "{command:?}: {stderr}");
        let is_server = command.starts_with(&["mesh", "monitor"]);
        let code = if is_server { 0 } else { 130 };
        assert_eq!(status.code(), Some(code), "{command:?}: {stderr}");
    }
}
