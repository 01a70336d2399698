//! Host: the order of registering and leaving.

use crate::rule::rules;

rules! {
    CONTRACT_FIRST Required "register-contract-first" "The contract is written before the catalog entry" "registration.md#registering"
    SUBSCRIBED_FIRST Required "register-subscribed-first" "The host subscribes before the catalog lists the agent" "registration.md#registering"
    COMPARE_AND_SWAP Required "register-compare-and-swap" "The catalog is written by compare-and-swap" "registration.md#writes-of-the-catalog"
    KEEPS_ENTRIES Required "register-keeps-entries" "A write of the catalog keeps all other entries and fields" "registration.md#writes-of-the-catalog"
    RECORD Extension "register-record" "The instance record is written with the registration" "registration.md#registering"
    LEAVE_ENTRY Required "leave-entry" "A host that leaves removes the catalog entry" "registration.md#leaving"
    LEAVE_CONTRACT Required "leave-contract" "A host that leaves removes the contract" "registration.md#leaving"
    LEAVE_UNSUBSCRIBED Required "leave-unsubscribed" "The host unsubscribes before it removes the catalog entry" "registration.md#leaving"
    LEAVE_ORDER Required "leave-order" "The catalog entry is removed before the contract" "registration.md#leaving"
    LEAVE_ARRAY Required "leave-array" "The key of the catalog is never deleted" "registration.md#writes-of-the-catalog"
    LEAVE_RECORD Extension "leave-record" "A host that leaves removes its instance record" "registration.md#leaving"
    LEAVE_NOTICE Extension "leave-notice" "The last host of an agent publishes a death notice" "registration.md#leaving"
}
