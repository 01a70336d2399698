//! Inputs at the limits: of the budget, and of 128-bit integers.

use super::*;

#[tokio::test]
async fn input_beyond_the_budget_has_one_verdict_from_contract_and_host() {
    let test = TestMesh::start().await;
    let agents = [
        agent::<Ambiguous>("ambiguous"),
        agent::<Vec<Sparse>>("sparse"),
        agent::<Vec<u8>>("bytes"),
        agent::<Value>("any"),
    ];
    test.mesh.register(agents).await.unwrap();
    let mut nested = json!({"next": null});
    for _ in 0..30 {
        nested = json!({"next": nested});
    }
    assert!(!verdict(&test, "ambiguous", &nested).await);
    let point = json!({"a": {"x": 1, "y": 1}});
    let few: Value = (0..1_000).map(|_| point.clone()).collect();
    assert!(verdict(&test, "sparse", &few).await);
    for count in [30_000, 45_000, 300_000] {
        let many: Value = (0..count).map(|_| json!({"a": null})).collect();
        verdict(&test, "sparse", &many).await;
    }
    for count in [400_000, 700_000, 1_500_000] {
        let many: Value = (0..count).map(|_| json!(1)).collect();
        verdict(&test, "bytes", &many).await;
        // The largest one takes more than 96 MiB when it is parsed.
        assert_eq!(verdict(&test, "any", &many).await, count < 1_000_000);
    }
}

#[tokio::test]
async fn integer_next_to_a_limit_of_128_bits_has_one_verdict() {
    let test = TestMesh::start().await;
    let agents = [
        agent::<u128>("unsigned"),
        agent::<i128>("signed"),
        agent::<Wide>("wide"),
    ];
    test.mesh.register(agents).await.unwrap();
    let verdict = async |name: &str, written: String| {
        let input = RawValue::from_string(written).unwrap();
        let contract = test.mesh.contract(name).await.unwrap();
        let allowed = contract.validate(&input);
        let taken = within(test.mesh.call::<Value>(name, &input)).await;
        assert_eq!(
            allowed.is_ok(),
            taken.is_ok(),
            "{name}: {input}: {allowed:?}, {taken:?}"
        );
        allowed.is_ok()
    };
    for (name, number, is_valid) in [
        ("unsigned", "340282366920938463463374607431768211455", true),
        ("unsigned", "340282366920938463463374607431768211456", false),
        ("unsigned", "340282366920938463463374607431768211457", false),
        (
            "unsigned",
            "3.40282366920938463463374607431768211456e38",
            false,
        ),
        (
            "unsigned",
            "3.40282366920938463463374607431768211455e38",
            true,
        ),
        ("unsigned", "-1", false),
        ("unsigned", "1.00000000000000000000001", true),
        ("unsigned", "1.5", false),
        ("signed", "170141183460469231731687303715884105727", true),
        ("signed", "170141183460469231731687303715884105728", false),
        ("signed", "-170141183460469231731687303715884105728", true),
        ("signed", "-170141183460469231731687303715884105729", false),
    ] {
        assert_eq!(
            verdict(name, number.to_owned()).await,
            is_valid,
            "{name}: {number}"
        );
        let in_a_field = match name {
            "unsigned" => format!("{{\"a\": {number}, \"b\": 1}}"),
            _ => format!("{{\"a\": 1, \"b\": {number}}}"),
        };
        assert_eq!(
            verdict("wide", in_a_field).await,
            is_valid,
            "{name}: {number}"
        );
    }
    let contract = test.mesh.contract("unsigned").await.unwrap();
    contract.validate(u128::MAX).unwrap();
    test.mesh
        .contract("signed")
        .await
        .unwrap()
        .validate(u128::MAX)
        .unwrap_err();
}
