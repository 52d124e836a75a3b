//! Whether a server is ready, by what it says of itself.

use std::collections::BTreeMap;

/// Every slot of a cluster.
pub(super) const SLOTS: u16 = 16_384;

/// `name:value` lines, as INFO and CLUSTER INFO answer them.
pub(crate) fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

/// Names and values in turn, as SENTINEL MASTER answers them.
pub(crate) fn pairs(texts: &[String]) -> BTreeMap<&str, &str> {
    texts.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect()
}

/// How many replicas a primary feeds, by its INFO replication.
pub(crate) fn replicas_online(info: &str) -> usize {
    let fields = fields(info);
    if fields.get("role") != Some(&"master") {
        return 0;
    }
    let of = |number: usize| fields.get(format!("slave{number}").as_str()).copied();
    (0..).map_while(of).filter(|replica| replica.split(',').any(|part| part == "state=online")).count()
}

/// A line of CLUSTER NODES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) id: &'a str,
    /// The port that clients are told.
    pub(crate) port: u16,
    pub(crate) flags: Vec<&'a str>,
    /// Of whom it is a replica.
    pub(crate) primary: Option<&'a str>,
    pub(crate) connected: bool,
    pub(crate) has_slots: bool,
}

impl Member<'_> {
    pub(crate) fn is(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    pub(crate) fn is_sound(&self) -> bool {
        let unsound = ["fail", "fail?", "handshake", "noaddr"];
        !self.flags.iter().any(|flag| unsound.contains(flag)) && (self.connected || self.is("myself"))
    }
}

/// Reads CLUSTER NODES: `id ip:port@bus flags primary ping pong epoch link slots…`.
pub(crate) fn members(text: &str) -> Vec<Member<'_>> {
    text.lines().filter_map(member).collect()
}

fn member(line: &str) -> Option<Member<'_>> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [id, address, flags, primary, _, _, _, link, ref slots @ ..] = words[..] else { return None };
    let (place, _) = address.split_once('@')?;
    let port = place.rsplit_once(':')?.1.parse().ok()?;
    let primary = (primary != "-").then_some(primary);
    let (connected, has_slots) = (link == "connected", !slots.is_empty());
    Some(Member { id, port, flags: flags.split(',').collect(), primary, connected, has_slots })
}

/// What a member of a cluster of so many primaries, each with one replica, still lacks.
pub(super) fn cluster_lacks(info: &str, nodes: &str, primaries: usize) -> Option<String> {
    let fields = fields(info);
    let field = |name| fields.get(name).copied().unwrap_or("nothing");
    let slots = SLOTS.to_string();
    let known = (2 * primaries).to_string();
    let wanted =
        [("cluster_state", "ok"), ("cluster_slots_ok", slots.as_str()), ("cluster_known_nodes", known.as_str())];
    if let Some((name, wanted)) = wanted.into_iter().find(|&(name, wanted)| field(name) != wanted) {
        return Some(format!("{name} is {}, not {wanted}", field(name)));
    }
    let members = members(nodes);
    if let Some(unsound) = members.iter().find(|member| !member.is_sound()) {
        return Some(format!("the member at {} is {}", unsound.port, unsound.flags.join(",")));
    }
    let replicas = members.iter().filter(|member| member.is("slave") && member.primary.is_some()).count();
    (replicas != primaries).then(|| format!("{replicas} of {primaries} replicas are known"))
}

/// What a member lacks by its INFO replication: its replica, or its primary.
pub(super) fn link_lacks(info: &str) -> Option<String> {
    let fields = fields(info);
    match fields.get("role") {
        Some(&"master") if replicas_online(info) == 0 => Some("no replica is online".to_owned()),
        Some(&"slave") if fields.get("master_link_status") != Some(&"up") => {
            Some("the link to the primary is not up".to_owned())
        }
        Some(&("master" | "slave")) => None,
        role => Some(format!("its role is {role:?}")),
    }
}

/// What a sentinel still lacks, by its SENTINEL MASTER.
pub(super) fn sentinel_lacks(primary: &[String], replicas: usize, others: usize) -> Option<String> {
    let pairs = pairs(primary);
    let wanted = [
        ("flags", "master".to_owned()),
        ("num-slaves", replicas.to_string()),
        ("num-other-sentinels", others.to_string()),
    ];
    let lacking = wanted.into_iter().find(|(name, wanted)| pairs.get(name) != Some(&wanted.as_str()))?;
    Some(format!("{} is {:?}, not {}", lacking.0, pairs.get(lacking.0), lacking.1))
}

/// What the replicas that a sentinel knows still lack, by its SENTINEL REPLICAS, one list of pairs each.
pub(super) fn watched_lacks(replicas: &[Vec<String>]) -> Option<String> {
    replicas.iter().find_map(|replica| {
        let pairs = pairs(replica);
        let sound = pairs.get("flags") == Some(&"slave") && pairs.get("master-link-status") == Some(&"ok");
        (!sound).then(|| format!("the replica {:?} is {:?}", pairs.get("name"), pairs.get("flags")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
        slave0:ip=127.0.0.1,port=21002,state=online,offset=14,lag=0\r\n\
        slave1:ip=127.0.0.1,port=21003,state=wait_bgsave,offset=0,lag=0\r\nmaster_failover_state:no-failover\r\n";
    const INFO: &str = "cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_ok:16384\r\ncluster_known_nodes:2\r\n";
    const NODES: &str = "\
        aa 127.0.0.1:21001@21011 myself,master - 0 0 1 connected 0-16383\n\
        bb 127.0.0.1:21002@21012,host,shard-id=x slave aa 0 1700000000000 1 connected\n";

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_replicas_that_are_online_count() {
        assert_eq!(replicas_online(PRIMARY), 1);
        assert_eq!(replicas_online("role:slave\r\nslave0:ip=1,state=online\r\n"), 0);
    }

    #[test]
    fn a_link_is_judged_from_both_ends() {
        assert_eq!(link_lacks(PRIMARY), None);
        assert!(link_lacks("role:master\r\nconnected_slaves:0\r\n").is_some());
        assert_eq!(link_lacks("role:slave\r\nmaster_link_status:up\r\n"), None);
        assert!(link_lacks("role:slave\r\nmaster_link_status:down\r\n").is_some());
        assert!(link_lacks("").is_some());
    }

    #[test]
    fn members_are_read() {
        let members = members(NODES);
        assert_eq!(
            members[1],
            Member {
                id: "bb",
                port: 21_002,
                flags: vec!["slave"],
                primary: Some("aa"),
                connected: true,
                has_slots: false
            }
        );
        assert!(members[0].is("myself") && members[0].primary.is_none() && members[0].has_slots);
        assert!(super::members("garbage\n\nid addr flags\n").is_empty());
    }

    #[test]
    fn a_whole_cluster_lacks_nothing() {
        assert_eq!(cluster_lacks(INFO, NODES, 1), None);
    }

    #[test]
    fn what_a_cluster_lacks_is_named() {
        let lacks = |info: &str, nodes: &str| cluster_lacks(info, nodes, 1).unwrap();
        assert_eq!(lacks(&INFO.replace(":ok", ":fail"), NODES), "cluster_state is fail, not ok");
        assert_eq!(lacks(&INFO.replace("16384", "5461"), NODES), "cluster_slots_ok is 5461, not 16384");
        assert_eq!(lacks(&INFO.replace("nodes:2", "nodes:1"), NODES), "cluster_known_nodes is 1, not 2");
        assert_eq!(lacks("", NODES), "cluster_state is nothing, not ok");
        assert_eq!(lacks(INFO, &NODES.replace("slave", "slave,fail?")), "the member at 21002 is slave,fail?");
        assert_eq!(lacks(INFO, &NODES.replace("slave aa", "master -")), "0 of 1 replicas are known");
        assert!(lacks(INFO, &NODES.replace("1 connected\n", "1 disconnected\n")).contains("21002"));
    }

    #[test]
    fn sentinels_agree_when_all_are_known() {
        let primary = words("name memstache flags master num-slaves 2 num-other-sentinels 2 quorum 2");
        assert_eq!(sentinel_lacks(&primary, 2, 2), None);
        assert!(sentinel_lacks(&primary, 1, 2).unwrap().starts_with("num-slaves"));
        assert!(sentinel_lacks(&words("flags s_down,master"), 1, 2).unwrap().starts_with("flags"));
        assert!(sentinel_lacks(&[], 1, 2).is_some());
    }

    #[test]
    fn a_replica_that_a_sentinel_sees_down_is_named() {
        let replica =
            |flags: &str, link: &str| words(&format!("name 127.0.0.1:21002 flags {flags} master-link-status {link}"));
        assert_eq!(watched_lacks(&[replica("slave", "ok")]), None);
        assert!(watched_lacks(&[replica("slave", "ok"), replica("s_down,slave", "ok")]).unwrap().contains("21002"));
        assert!(watched_lacks(&[replica("slave", "err")]).is_some());
    }
}
