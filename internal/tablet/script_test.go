package tablet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// TestScripts runs the scripts in testdata. -rewrite writes what happens into
// them. The commands:
//
//	new ids=(1,2,3) [empty=(4)]   replicas at index 1, all voters; and empty ones
//	campaign id=N | tick id=N n=N | clock id=N ms=N
//	propose id=N                  one command for each line of the input
//	read id=N name=NAME
//	turn id=N                     collect the effects
//	write id=N | apply id=N       do the next append, or the next apply
//	deliver [to=N] [from=N] [type=T] | lose ...   messages on their way
//	settle [cut=(N,N)]            everything, until there is nothing to do
//	steer id=N voters=(...) [learners=(...)] | transfer id=N to=N
//	restart id=N [applied=N] [term=N] [ordinal=N] [keep=N]  all that was not written or applied is lost
//	compact id=N index=N
//	state | data id=N
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var g *group
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				g = newGroup(t)
				voters := nodeArgs(t, d, "ids")
				for _, id := range voters {
					g.add(id, voters)
				}
				for _, id := range nodeArgs(t, d, "empty") {
					g.add(id, nil)
				}
			} else {
				g.t = t
				g.trace.Reset()
				g.step(t, d)
			}
			if g.trace.Len() == 0 {
				return "ok\n"
			}
			return g.trace.String()
		})
	})
}

func (g *group) step(t *testing.T, d *datadriven.TestData) {
	if g.stepGroup(t, d) {
		return
	}
	h := g.nodes[model.NodeID(intArg(t, d, "id"))]
	if h == nil {
		d.Fatalf(t, "no such replica")
	}
	switch d.Cmd {
	case "campaign":
		h.tablet.Campaign()
	case "tick":
		for range intArg(t, d, "n") {
			h.tablet.Tick()
		}
	case "clock":
		h.now = time.UnixMilli(int64(intArg(t, d, "ms")))
	case "propose":
		h.proposeAt(model.Level(intArg(t, d, "level")), strings.Split(strings.TrimSpace(d.Input), "\n")...)
	case "read":
		var name string
		d.ScanArgs(t, "name", &name)
		h.read(name)
	case "turn":
		h.turn(true)
	case "write":
		if !h.write() {
			g.notef("  nothing to write")
		}
	case "apply":
		if !h.apply() {
			g.notef("  nothing to apply")
		}
	case "steer":
		h.tablet.Steer(nodeArgs(t, d, "voters"), nodeArgs(t, d, "learners"))
	case "transfer":
		g.notef("  %v", h.tablet.HandOver(model.NodeID(intArg(t, d, "to"))))
	case "restart":
		g.restart(t, d, h)
	case "abandon":
		h.tablet.Abandon()
	case "compact":
		h.log.compact(uint64(intArg(t, d, "index")))
	case "data":
		for _, s := range h.state {
			g.notef("  %s", s)
		}
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
}

// stepGroup does the commands that name no replica; false when d is none.
func (g *group) stepGroup(t *testing.T, d *datadriven.TestData) bool {
	switch d.Cmd {
	case "deliver", "lose":
		to, from, typ := intArg(t, d, "to"), intArg(t, d, "from"), ""
		d.MaybeScanArgs(t, "type", &typ)
		g.deliver(func(m *pb.Message) bool {
			return (to == 0 || m.GetTo() == uint64(to)) && (from == 0 || m.GetFrom() == uint64(from)) && (typ == "" || m.GetType().String() == typ)
		}, d.Cmd == "lose", true)
	case "settle":
		cut := map[model.NodeID]bool{}
		for _, id := range nodeArgs(t, d, "cut") {
			cut[id] = true
		}
		g.settle(cut)
	case "state":
		for _, id := range g.ids {
			g.notef("  %s", g.nodes[id].summary())
		}
	default:
		return false
	}
	return true
}

// restart loses what was not written and opens the replica again, perhaps on
// an older state, of which keep commands are left.
func (g *group) restart(t *testing.T, d *datadriven.TestData, h *host) {
	if d.HasArg("applied") {
		h.applied.Index = model.Index(intArg(t, d, "applied"))
		h.applied.Term = model.Term(intArg(t, d, "term"))
		h.applied.Ordinal = uint32(intArg(t, d, "ordinal"))
		h.state = h.state[:intArg(t, d, "keep")]
		h.applied.Stamp = 0
	}
	h.open()
}

// summary is a replica's state on one line.
func (h *host) summary() string {
	s := h.tablet.Status()
	role := "follows"
	if h.tablet.Leads() {
		role = "leads"
	} else if h.tablet.leads {
		role = "leads, not ready"
	}
	m := s.Members
	text := fmt.Sprintf("%d %s %d: term %d last %d applied %d voters %v", h.id, role, s.Leader, s.Term, s.Last, s.Applied, numbers(m.Voters))
	if len(m.Learners) > 0 {
		text += fmt.Sprintf(" learners %v", numbers(m.Learners))
	}
	if len(m.Outgoing) > 0 {
		text += fmt.Sprintf(" outgoing %v", numbers(m.Outgoing))
	}
	return text
}

// numbers shows node ids as they are in scripts.
func numbers(ids []model.NodeID) []uint64 { return rawIDs(ids) }

func intArg(t *testing.T, d *datadriven.TestData, name string) (n int) {
	d.MaybeScanArgs(t, name, &n)
	return n
}

func nodeArgs(t *testing.T, d *datadriven.TestData, name string) (ids []model.NodeID) {
	for _, a := range d.CmdArgs {
		if a.Key == name {
			for i := range a.Vals {
				var n int
				a.Scan(t, i, &n)
				ids = append(ids, model.NodeID(n))
			}
		}
	}
	return ids
}
