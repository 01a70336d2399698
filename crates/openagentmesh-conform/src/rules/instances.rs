//! Host: instance records.

use crate::rule::rules;

rules! {
    RECORD Extension "instance-record" "A record of an instance lists the agent" "liveness.md#instance-records"
    AGENTS Extension "instance-agents" "The record has the sorted full names of all agents" "liveness.md#instance-records"
    SAME_ID Extension "instance-id" "The record is at the id that replies carry" "liveness.md#instance-records"
    LEASE Extension "instance-lease" "The record is written again before its lease ends" "liveness.md#leases"
    DIRECT Extension "instance-request" "The instance answers requests on its own subject" "liveness.md#requests-to-one-instance"
}
