//! Host: the catalog entry and the contract of an agent.

use crate::rule::rules;

rules! {
    ENTRY Required "catalog-entry" "The catalog lists the agent" "catalog.md#the-catalog"
    ENTRY_NAME Required "catalog-name" "The catalog entry has the full, dotted name" "catalog.md#the-catalog"
    ENTRY_FIELDS Required "catalog-fields" "The catalog entry has all fields, each of its type" "catalog.md#the-catalog"
    CONTRACT Required "contract-document" "The registry has the contract at the full name" "catalog.md#the-contract"
    CONTRACT_NAME Required "contract-name" "The contract has the full, dotted name" "catalog.md#the-contract"
    CONTRACT_FIELDS Required "contract-fields" "The contract has all fields, each of its type" "catalog.md#the-contract"
    CONTRACT_SUBJECT Required "contract-subject" "The contract names the subject of the requests" "catalog.md#the-contract"
    CONTRACT_AGREES Required "contract-agrees" "The contract and the catalog entry agree" "catalog.md#the-contract"
    CONTRACT_TIME Required "contract-time" "The contract has the time of the registration" "catalog.md#the-contract"
    SCHEMAS Required "contract-schemas" "The schemas fit the capabilities" "catalog.md#schemas"
}
