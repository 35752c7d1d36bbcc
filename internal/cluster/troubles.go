package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir.dev/weir/internal/model"
)

// Trouble is something about the cluster that an operator should know, and what
// to do about it.
type Trouble struct {
	Kind    TroubleKind
	Node    model.NodeID     // the node that it is about; zero: none
	Tablets []model.TabletID // those that it is about, ascending
	Text    string           // what is the matter, in a sentence
	Advice  string           // what to do next, in a sentence
}

// TroubleKind says what a Trouble is about. The names are part of the admin
// API.
type TroubleKind string

// The kinds of trouble, the worst first.
const (
	TroubleLost     TroubleKind = "quorum-lost"    // tablets take no writes
	TroubleElection TroubleKind = "no-leader"      // enough voters are up, and none leads: for a moment
	TroubleAtRisk   TroubleKind = "quorum-at-risk" // one more loss stops writes
	TroubleDown     TroubleKind = "node-down"
	TroubleDisk     TroubleKind = "disk-full"
	TroubleBehind   TroubleKind = "replica-behind"
	TroubleMoving   TroubleKind = "moving" // replicas are being made or moved
	TroubleDraining TroubleKind = "draining"
)

// troubleOrder is the order of the kinds.
var troubleOrder = []TroubleKind{TroubleLost, TroubleElection, TroubleAtRisk, TroubleDown, TroubleDisk, TroubleBehind, TroubleMoving, TroubleDraining}

// troubles looks for what is the matter with the cluster.
func troubles(s *ClusterStatus) (all []Trouble) {
	all = append(all, quorumTroubles(s)...)
	for i := range s.Nodes {
		all = append(all, nodeTroubles(s, &s.Nodes[i])...)
	}
	all = append(all, replicaTroubles(s)...)
	slices.SortStableFunc(all, func(a, b Trouble) int {
		return cmp.Compare(slices.Index(troubleOrder, a.Kind), slices.Index(troubleOrder, b.Kind))
	})
	return all
}

// quorumTroubles are about tablets of which too few voters are up, or just
// enough; tablets on the same voters are told together.
func quorumTroubles(s *ClusterStatus) (found []Trouble) {
	for i := range s.Tablets {
		t := &s.Tablets[i]
		up, down := votersOf(s, t)
		voters := len(up) + len(down)
		var tr Trouble
		switch {
		case t.Leader == 0 && len(up) <= voters/2:
			tr = Trouble{
				Kind: TroubleLost,
				Text: fmt.Sprintf("no leader: %d of %d voters up, a majority is needed; writes and strong reads are refused", len(up), voters),
				Advice: fmt.Sprintf("start %s; if that can never be, weir recover makes the rest take writes again, and says what is lost",
					oneOf(down)),
			}
		case t.Leader == 0:
			tr = Trouble{
				Kind: TroubleElection, Text: fmt.Sprintf("no leader yet: %d of %d voters up", len(up), voters),
				Advice: "an election takes a second or two; if this lasts, look whether the nodes reach each other's peer addresses",
			}
		case voters > 1 && len(up) <= voters/2+1 && len(down) > 0:
			tr = Trouble{
				Kind: TroubleAtRisk, Text: fmt.Sprintf("one more loss stops writes: %d of %d voters up", len(up), voters),
				Advice: "start " + allOf(down) + ", or join another node: " + replaceAdvice(s),
			}
		case voters == 2:
			tr = Trouble{
				Kind: TroubleAtRisk, Text: "one loss stops writes: there are two voters, and a majority is both",
				Advice: "join another node: weir token create",
			}
		default:
			continue
		}
		same := slices.IndexFunc(found, func(f Trouble) bool { return f.Kind == tr.Kind && f.Text == tr.Text && f.Advice == tr.Advice })
		if same < 0 {
			found, same = append(found, tr), len(found)
		}
		found[same].Tablets = append(found[same].Tablets, t.ID)
	}
	for i := range found {
		found[i].Text = TabletRanges(found[i].Tablets) + ": " + found[i].Text
	}
	return found
}

// votersOf are the tablet's voters whose nodes are up, and the others.
func votersOf(s *ClusterStatus, t *TabletView) (up, down []model.NodeID) {
	for _, r := range t.Replicas {
		if !r.Voter {
			continue
		}
		if at := s.node(r.Node); at != nil && at.Up {
			up = append(up, r.Node)
		} else {
			down = append(down, r.Node)
		}
	}
	return up, down
}

func (s *ClusterStatus) node(id model.NodeID) *NodeView {
	for i := range s.Nodes {
		if s.Nodes[i].ID == id {
			return &s.Nodes[i]
		}
	}
	return nil
}

func oneOf(ids []model.NodeID) string {
	if len(ids) == 1 {
		return ids[0].String()
	}
	return "one of " + allOf(ids)
}

func allOf(ids []model.NodeID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	return strings.Join(names, ", ")
}

// replaceAdvice is what happens by itself to what a lost node held.
func replaceAdvice(s *ClusterStatus) string {
	if s.Settings.ReplaceAfterMs == 0 {
		return "a node that is away is never replaced by itself (weir node replace-after)"
	}
	return fmt.Sprintf("after %v what it held is made anew on others that hold none", time.Duration(s.Settings.ReplaceAfterMs)*time.Millisecond)
}

// nodeTroubles are about one node.
func nodeTroubles(s *ClusterStatus, v *NodeView) (found []Trouble) {
	var held []model.TabletID
	for i := range s.Tablets {
		if t := &s.Tablets[i]; t.Members.Has(v.ID) {
			held = append(held, t.ID)
		}
	}
	switch {
	case !v.Up:
		found = append(found, Trouble{
			Kind: TroubleDown, Node: v.ID, Tablets: held,
			Text:   fmt.Sprintf("node %v (%s) %s", v.ID, v.Address, downSince(s, v)),
			Advice: "start it again on its data directory; if its disk is lost: weir node remove " + v.ID.String() + ", and join a new one",
		})
	case v.State == "draining" && len(dataTablets(held)) > 0:
		found = append(found, Trouble{
			Kind: TroubleDraining, Node: v.ID, Tablets: held,
			Text:   fmt.Sprintf("node %v drains and still holds %s", v.ID, TabletRanges(held)),
			Advice: "wait; when the number does not fall, no other node can take them: join one, or weir node undrain " + v.ID.String(),
		})
	case v.State == "leaving":
		found = append(found, Trouble{
			Kind: TroubleDraining, Node: v.ID, Tablets: held,
			Text: fmt.Sprintf("node %v leaves and still holds %s", v.ID, TabletRanges(held)), Advice: "wait: it is removed when it holds nothing",
		})
	}
	if v.Disk.Full {
		found = append(found, Trouble{
			Kind: TroubleDisk, Node: v.ID,
			Text: fmt.Sprintf("the disk of node %v is nearly full: %s of %s free, %s are kept; it refuses new data for the %d tablets that it leads",
				v.ID, FormatBytes(v.Disk.Free), FormatBytes(v.Disk.Total), FormatBytes(v.Disk.Reserve), v.Leads),
			Advice: "free or add space on it; deletes still work, and it takes writes again by itself",
		})
	}
	return found
}

// dataTablets are the tablets but the catalog, which every node holds.
func dataTablets(ids []model.TabletID) []model.TabletID {
	return slices.DeleteFunc(slices.Clone(ids), func(id model.TabletID) bool { return id == model.CatalogTablet })
}

func downSince(s *ClusterStatus, v *NodeView) string {
	if v.HeardMs == 0 {
		return "is down; nobody has heard of it since the others started"
	}
	return fmt.Sprintf("is down since %s, for %v", time.UnixMilli(v.HeardMs).UTC().Format(time.RFC3339),
		max(0, time.Duration(s.NowMs-v.HeardMs)*time.Millisecond).Round(time.Second))
}

// replicaTroubles are about copies that are behind though their nodes are up,
// and tablets that do not have the members that they shall have.
func replicaTroubles(s *ClusterStatus) (found []Trouble) {
	var moving []model.TabletID
	for i := range s.Tablets {
		t := &s.Tablets[i]
		if t.Leader != 0 && !t.Settled {
			moving = append(moving, t.ID)
		}
		for k := range t.Replicas {
			r := &t.Replicas[k]
			if r.Doing == "" || r.Doing == DoingDown {
				continue
			}
			found = append(found, Trouble{
				Kind: TroubleBehind, Node: r.Node, Tablets: []model.TabletID{t.ID},
				Text:   fmt.Sprintf("tablet %v: node %v %s", t.ID, r.Node, r.Behind(s.NowMs)),
				Advice: "wait; if it does not move, look at the logs of that node and of the leader, " + t.Leader.String(),
			})
		}
	}
	if len(moving) > 0 {
		found = append(found, Trouble{
			Kind: TroubleMoving, Tablets: moving,
			Text:   TabletRanges(moving) + ": replicas are being made, moved or removed",
			Advice: "wait: this goes on by itself, a tablet at a time",
		})
	}
	return found
}

// Behind says in words why the replica is behind, and by how much; it is empty
// when the replica is not.
func (r *ReplicaView) Behind(nowMs int64) string {
	by := fmt.Sprintf("%d entries", r.Lag)
	if r.LagBytes > 0 {
		by += ", " + FormatBytes(r.LagBytes) + ","
	}
	switch r.Doing {
	case DoingDown:
		return "is down, " + by + " behind"
	case DoingSnapshot:
		took := time.Duration(nowMs-r.Snapshot.BegunMs) * time.Millisecond
		return fmt.Sprintf("receives a snapshot: %s sent of a state that takes %s on disk, for %v",
			FormatBytes(r.Snapshot.Bytes), FormatBytes(r.Snapshot.About), max(0, took).Round(time.Second))
	case DoingNew:
		return "waits for a snapshot: the log does not reach back to what it has"
	case DoingLog:
		return "is " + by + " behind and catches up from the log"
	default:
		return ""
	}
}

// TabletRanges names tablets in few words, such as "tablets 0-3, 7".
func TabletRanges(ids []model.TabletID) string {
	if len(ids) == 0 {
		return "no tablets"
	}
	if len(ids) == 1 {
		return "tablet " + ids[0].String()
	}
	var parts []string
	for i := 0; i < len(ids); {
		k := i
		for k+1 < len(ids) && ids[k+1] == ids[k]+1 {
			k++
		}
		if part := ids[i].String(); k == i {
			parts = append(parts, part)
		} else {
			parts = append(parts, part+"-"+ids[k].String())
		}
		i = k + 1
	}
	return "tablets " + strings.Join(parts, ", ")
}

// FormatBytes writes a size as an operator reads it.
func FormatBytes(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}
