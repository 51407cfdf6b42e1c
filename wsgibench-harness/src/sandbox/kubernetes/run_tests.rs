use super::*;

fn node(name: &str, cpu: u64, serves: bool, loads: bool) -> NodeFacts {
    NodeFacts {
        name: name.to_owned(),
        cpu,
        memory: 1 << 30,
        serves,
        loads,
    }
}

fn placed(nodes: Option<&[NodeFacts]>, load_pods: Option<u32>) -> Result<(u32, RunShape), String> {
    let mut shape = RunShape::sample();
    let options = KubernetesOptions {
        load_pods,
        ..KubernetesOptions::default()
    };
    let (pods, _) = place(&mut shape, &options, nodes)?;
    Ok((pods, shape))
}

#[test]
fn load_is_kept_off_the_servers_node() {
    let nodes = [
        node("a", 2_000, true, true),
        node("b", 4_000, true, true),
        node("c", 2_000, true, true),
    ];
    let (pods, shape) = placed(Some(&nodes), None).unwrap();
    assert_eq!(shape.server_placement.node.as_deref(), Some("b"), "the largest");
    assert_eq!(shape.load_placement.avoid.as_deref(), Some("b"));
    assert_eq!(pods, 2, "one for each other node");
    assert_eq!(placed(Some(&nodes), Some(7)).unwrap().0, 7);
}

#[test]
fn node_that_takes_no_load_serves() {
    let nodes = [node("a", 8_000, true, true), node("b", 1_000, true, false)];
    let (pods, shape) = placed(Some(&nodes), None).unwrap();
    assert_eq!((shape.server_placement.node.as_deref(), pods), (Some("b"), 1));
}

#[test]
fn one_node_and_unknown_nodes_have_one_load_pod() {
    let (pods, shape) = placed(Some(&[node("a", 2_000, true, true)]), None).unwrap();
    assert_eq!((pods, shape.load_placement.avoid), (1, None));
    let (pods, shape) = placed(None, None).unwrap();
    assert_eq!((pods, shape.server_placement), (1, Placement::default()));
}

#[test]
fn selectors_that_match_no_node_are_errors() {
    let error = placed(Some(&[node("a", 1, false, true)]), None).unwrap_err();
    assert!(error.contains("--server-node-selector"), "{error}");
    let error = placed(Some(&[node("a", 1, true, false)]), None).unwrap_err();
    assert!(error.contains("--load-node-selector"), "{error}");
}

#[test]
fn quantities() {
    assert_eq!(
        (millis("2"), millis("1500m"), millis("x")),
        (Some(2_000), Some(1_500), None)
    );
    assert_eq!(bytes("16Mi"), Some(16 << 20));
    assert_eq!(
        (bytes("1000"), bytes("8G"), bytes("1Xi")),
        (Some(1_000), Some(8_000_000_000), None)
    );
}
