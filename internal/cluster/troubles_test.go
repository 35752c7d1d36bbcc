package cluster

import (
	"fmt"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// picture builds what the nodes of a cluster of three told of two tablets that
// node 1 leads.
func picture(change func(c *model.Catalog, told map[model.NodeID]*NodeStatus)) *ClusterStatus {
	voters := ids(1, 2, 3)
	c := catalogOf(3, voters, voters)
	c.Settings.ReplaceAfterMs = model.DefaultReplaceAfterMs
	told := map[model.NodeID]*NodeStatus{}
	for _, id := range voters {
		ns := &NodeStatus{Node: id, Heard: map[model.NodeID]int64{}}
		for t := range model.TabletID(2) {
			r := tablet.Status{Tablet: t, Leader: 1, Term: 5, Last: 5000, Applied: 5000, Members: tablet.Members{Voters: voters}}
			if id == 1 {
				r.Matched = map[model.NodeID]model.Index{1: 5000, 2: 5000, 3: 5000}
				r.LacksBytes, r.Snapshot = map[model.NodeID]uint64{}, map[model.NodeID]bool{}
			}
			ns.Replicas = append(ns.Replicas, r)
		}
		told[id] = ns
	}
	change(c, told)
	s := &ClusterStatus{NowMs: 1_000_000, Settings: c.Settings}
	for i := range c.Nodes {
		v := NodeView{ID: c.Nodes[i].ID, Address: fmt.Sprintf("host%d:4590", i+1), State: stateOf(&c.Nodes[i])}
		if ns := told[v.ID]; ns != nil {
			v.Up, v.Disk = true, ns.Disk
		}
		s.Nodes = append(s.Nodes, v)
	}
	s.assemble(c, told)
	return s
}

func TestTroubles(t *testing.T) {
	type statuses = map[model.NodeID]*NodeStatus
	n3 := model.NodeID(3).String()
	for _, c := range []struct {
		name   string
		change func(c *model.Catalog, told statuses)
		want   []string // KIND: text / advice, each line's parts by "|"
	}{
		{"all is well", func(*model.Catalog, statuses) {}, nil},
		{"a follower is down", func(_ *model.Catalog, told statuses) {
			delete(told, 3)
			told[1].Heard[3], told[2].Heard[3] = 940_000, 700_000
			told[1].Replicas[1].Matched[3], told[1].Replicas[1].LacksBytes[3] = 3000, 2048
		}, []string{
			"quorum-at-risk: tablets t0-t1: one more loss stops writes: 2 of 3 voters up|start " + n3 + ", or join another node: after 15m0s what it held",
			"node-down: node " + n3 + " (host3:4590) is down since 1970-01-01T00:15:40Z, for 1m0s|start it again on its data directory",
		}},
		{"two are down", func(_ *model.Catalog, told statuses) {
			delete(told, 1)
			delete(told, 3)
		}, []string{
			"quorum-lost: tablets t0-t1: no leader: 1 of 3 voters up, a majority is needed|start one of " + model.NodeID(1).String() + ", " + n3 + "; if that can never be, weir recover",
			"node-down: node " + model.NodeID(1).String() + " (host1:4590) is down; nobody has heard of it since",
			"node-down: node " + n3,
		}},
		{"an election", func(_ *model.Catalog, told statuses) {
			told[1].Replicas[1].Leader, told[1].Replicas[1].Matched = 0, nil
		}, []string{"no-leader: tablet t1: no leader yet: 3 of 3 voters up|an election takes a second or two"}},
		{"catching up from the log", func(_ *model.Catalog, told statuses) {
			told[2].Replicas[1].Applied = 1000
			told[1].Replicas[1].LacksBytes[2] = 3 << 20
		}, []string{"replica-behind: tablet t1: node " + model.NodeID(2).String() + " is 4000 entries, 3.0 MiB, behind and catches up from the log|wait"}},
		{"a little behind under load", func(_ *model.Catalog, told statuses) { told[2].Replicas[1].Applied = 4500 }, nil},
		{"a snapshot", func(_ *model.Catalog, told statuses) {
			told[1].Sending = []Shipment{{Tablet: 1, To: 2, Bytes: 5 << 20, About: 20 << 20, BegunMs: 997_000}}
			told[1].Replicas[1].Snapshot[2] = true
		}, []string{"replica-behind: tablet t1: node " + model.NodeID(2).String() + " receives a snapshot: 5.0 MiB sent of a state that takes 20.0 MiB on disk, for 3s|wait"}},
		{"a new replica", func(_ *model.Catalog, told statuses) {
			told[2].Replicas[1].Applied, told[2].Replicas[1].Last = 0, 0
		}, []string{"replica-behind: tablet t1: node " + model.NodeID(2).String() + " waits for a snapshot|wait"}},
		{"a full disk", func(_ *model.Catalog, told statuses) {
			told[1].Disk = DiskStatus{Free: 1 << 29, Total: 20 << 30, Reserve: 1 << 30, Full: true}
		}, []string{"disk-full: the disk of node " + model.NodeID(1).String() + " is nearly full: 512.0 MiB of 20.0 GiB free, 1.0 GiB are kept; it refuses new data for the 2 tablets|free or add space"}},
		{"draining", func(c *model.Catalog, _ statuses) { c.Nodes[2].Draining = true },
			[]string{"draining: node " + n3 + " drains and still holds tablets t0-t1|wait; when the number does not fall"}},
		{"moving, and two voters only", func(c *model.Catalog, told statuses) {
			c.Tablets[1].Voters = ids(1, 2)
		}, []string{
			"quorum-at-risk: tablet t1: one loss stops writes: there are two voters|weir token create",
			"moving: tablet t1: replicas are being made, moved or removed|wait",
		}},
	} {
		var got []string
		for _, tr := range picture(c.change).Troubles {
			got = append(got, fmt.Sprintf("%s: %s|%s", tr.Kind, tr.Text, tr.Advice))
		}
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			for part := range strings.SplitSeq(c.want[i], "|") {
				ok = ok && strings.Contains(got[i], part)
			}
		}
		if !ok {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestReplicaViews(t *testing.T) {
	s := picture(func(_ *model.Catalog, told map[model.NodeID]*NodeStatus) {
		delete(told, 3)
		told[1].Replicas[1].Matched[3], told[1].Replicas[1].LacksBytes[3] = 3000, 2048
	})
	r := s.Tablets[1].Replicas[2]
	if r.Up || r.Lag != 2000 || r.LagBytes != 2048 || r.Doing != DoingDown {
		t.Errorf("the replica of a node that is down: %+v", r)
	}
	if text := r.Behind(s.NowMs); text != "is down, 2000 entries, 2.0 KiB, behind" {
		t.Errorf("%q", text)
	}
	if s.Nodes[0].Leads != 2 || s.Nodes[1].Leads != 0 {
		t.Errorf("nodes %+v", s.Nodes)
	}
}

func TestTabletRanges(t *testing.T) {
	for want, ids := range map[string][]model.TabletID{
		"no tablets": nil, "tablet t3": {3}, "tablets t0-t2": {0, 1, 2}, "tablets t1, t3": {1, 3}, "tablets t0-t3, t7, t9-t10": {0, 1, 2, 3, 7, 9, 10},
	} {
		if got := TabletRanges(ids); got != want {
			t.Errorf("%v: %q, want %q", ids, got, want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 3 << 20: "3.0 MiB", 5 << 30: "5.0 GiB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
