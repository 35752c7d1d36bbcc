package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/lost"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
	"weir.dev/weir/internal/transport"
)

// world is a cluster in memory, inside a synctest bubble: real nodes, journals
// and storage, on a network without sockets. Its end checks that nothing the
// nodes started is left.
type world struct {
	t      *testing.T
	budget int64        // LogBudgetBytes of nodes started from now on
	tell   lockedBuffer // what the nodes log

	mu          sync.Mutex // guards what follows
	rooms       map[model.NodeID]*room
	cut         map[model.NodeID]bool
	loseAnswers bool // calls are carried out, their answers are lost
	fatal       []error
	lost        []lost.Write // kept by any node
}

// room is a node and its disk.
type room struct {
	world   *world
	id      model.NodeID
	disk    *storage.CrashableFS
	db      *storage.DB
	journal *journal.Journal
	*Node   // nil while down
	port    *port
	starts  uint64
}

const testCluster = "00112233445566778899aabbccddeeff"

// inWorld runs f with a cluster of that many nodes that have all grown to hold
// what they shall.
func inWorld(t *testing.T, nodes, tablets int, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, budget: 1 << 30, rooms: map[model.NodeID]*room{}, cut: map[model.NodeID]bool{}}
		w.tell.world = w
		defer w.close()
		first := w.room(1)
		w.boot(first, tablets)
		w.eventually("node 1 leads everything", func() bool { c := first.Counts(); return c.Led == tablets+1 })
		for i := 2; i <= nodes; i++ {
			w.join(model.NodeID(i))
		}
		if nodes > 1 {
			w.eventually("the cluster has grown", func() bool { return w.grown(nodes) })
		}
		f(w)
	})
}

func (w *world) room(id model.NodeID) *room {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rooms[id] == nil {
		w.rooms[id] = &room{world: w, id: id, disk: storage.NewCrashableFS()}
	}
	return w.rooms[id]
}

func address(id model.NodeID) string { return fmt.Sprintf("node%d:4590", id) }

// boot starts the node in a room. tablets is of a new cluster's first node.
func (w *world) boot(r *room, tablets int) {
	w.t.Helper()
	r.starts++
	random := base.NewRand(uint64(r.id)<<32 + r.starts)
	fatal := func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fatal = append(w.fatal, err)
	}
	var err error
	if r.db, err = storage.Open(storage.Options{FS: r.disk, Dir: "data", CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Sequence: keys.Sequence, CheckNew: true, Fatal: fatal}); err != nil {
		w.t.Fatal(err)
	}
	if r.journal, err = journal.Open(journal.Options{FS: r.disk, Dir: "data/journal", SegmentBytes: 16 << 10, CacheBytes: 64 << 10, Rand: random, Fatal: fatal}); err != nil {
		w.t.Fatal(err)
	}
	if tablets > 0 {
		if err := Genesis(r.db, r.journal, testCluster, model.Node{ID: r.id, PeerAddr: address(r.id)}, tablets); err != nil {
			w.t.Fatal(err)
		}
	}
	node, err := Open(Options{
		Node: r.id, ClusterID: testCluster, Seeds: []model.Node{{ID: 1, PeerAddr: address(1)}}, Storage: r.db, Journal: r.journal,
		Transport: func(h transport.Handler) (transport.Transport, error) {
			p := &port{world: w, id: r.id, handler: h, calls: map[uint64]func([]byte, error){}}
			w.mu.Lock()
			defer w.mu.Unlock()
			r.port = p
			return p, nil
		},
		Clock: base.SystemClock{}, Rand: random, Logger: slog.New(slog.NewTextHandler(&w.tell, nil)).With("at", r.id), Lanes: 2,
		KeepLost:       w.keepLost,
		LogBudgetBytes: w.budget, HousekeepingEvery: 200 * time.Millisecond, Fatal: fatal,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Node = node
}

// keepLost notes what a node keeps of lost writes.
func (w *world) keepLost(writes []lost.Write) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = append(w.lost, writes...)
	return "a file", nil
}

// join makes a new node a member and starts it.
func (w *world) join(id model.NodeID) {
	w.t.Helper()
	ctx := context.Background()
	first := w.room(1)
	token := model.JoinToken{Hash: [32]byte{byte(id), 1}}
	if err := first.AddToken(ctx, token.Hash, time.Now().Add(time.Hour)); err != nil {
		w.t.Fatal(err)
	}
	op := model.CatalogOp{Kind: model.OpAddNode, Token: token, Node: model.Node{ID: id, PeerAddr: address(id)}}
	if res, err := first.ProposeCatalog(ctx, &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}); err != nil || res.Status != model.StatusOK {
		w.t.Fatalf("node %v cannot join: %+v, %v", id, res, err)
	}
	w.boot(w.room(id), 0)
}

// stop takes a node down; crash also loses what it had not synced.
func (r *room) stop(crash bool) {
	r.world.mu.Lock()
	node := r.Node
	r.Node, r.port = nil, nil
	r.world.mu.Unlock()
	if node == nil {
		return
	}
	if crash {
		r.disk = r.disk.CrashClone(0, rand.New(rand.NewPCG(1, 1)))
	}
	if err := errors.Join(node.Close(), r.journal.Close(), r.db.Close()); err != nil {
		r.world.t.Errorf("node %v does not close: %v", r.id, err)
	}
}

func (w *world) close() {
	for id := model.NodeID(1); w.rooms[id] != nil; id++ {
		w.rooms[id].stop(false)
	}
	for _, err := range w.fatal {
		w.t.Errorf("a node could not go on: %v", err)
	}
}

// up returns the nodes that run, by id.
func (w *world) up() (up []*room) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := model.NodeID(1); w.rooms[id] != nil; id++ {
		if w.rooms[id].Node != nil {
			up = append(up, w.rooms[id])
		}
	}
	return up
}

// grown reports whether every tablet has its voters, a leader and nothing
// under way, as the node that leads it sees it.
func (w *world) grown(nodes int) bool {
	s := w.room(1).Status(context.Background())
	if len(s.Nodes) != nodes {
		return false
	}
	for _, t := range s.Tablets {
		if t.Leader == 0 {
			return false
		}
		leader := w.room(t.Leader)
		c, ok := leader.Catalog().TabletByID(t.ID)
		r := leader.replica(t.ID)
		if !ok || r == nil || !r.leads.Load() {
			return false
		}
		want := min(3, nodes)
		if want == 2 {
			want = 1
		}
		if len(c.Voters) != want || preferredLeaders(leader.Catalog())[t.ID] != t.Leader {
			return false
		}
		for _, replica := range t.Replicas {
			if !replica.Up || replica.Lag > 0 {
				return false
			}
		}
		if got := membersOf(r); len(got.Voters) != want || len(got.Outgoing) > 0 {
			return false
		}
	}
	return true
}

// membersOf asks a replica's lane for its tablet's members.
func membersOf(r *replica) tablet.Members {
	got := make(chan tablet.Status, 1)
	r.lane.do(r, func(t *tablet.Tablet) { got <- t.Status() })
	return (<-got).Members
}

// leader is the node that leads a tablet.
func (w *world) leader(id model.TabletID) *room {
	w.t.Helper()
	var leader *room
	w.eventually("a leader", func() bool {
		for _, r := range w.up() {
			if x := r.replica(id); x != nil && x.leads.Load() && !w.isCut(r.id) {
				leader = r
				return true
			}
		}
		return false
	})
	return leader
}

// other is a running node that does not lead the tablet.
func (w *world) other(id model.TabletID) *room {
	lead := w.leader(id)
	for _, r := range w.up() {
		if r != lead {
			return r
		}
	}
	w.t.Fatal("there is no other node")
	return nil
}

// eventually waits, in virtual time, until cond holds.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for range 3000 {
		if cond() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, r := range w.up() {
		w.t.Logf("node %v: %s", r.id, r.statusAnswer().result.Body)
	}
	w.t.Fatalf("after a minute: not yet: %s", what)
}

func (w *world) isCut(id model.NodeID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[id]
}

func (w *world) setCut(id model.NodeID, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[id] = cut
}

func (w *world) setLoseAnswers(lose bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loseAnswers = lose
}

// port is a node's transport.
type port struct {
	world   *world
	id      model.NodeID
	handler transport.Handler

	mu    sync.Mutex // guards what follows
	calls map[uint64]func([]byte, error)
	next  uint64
}

// carry delivers after a moment, unless one of the two is down or cut off.
func (p *port) carry(to model.NodeID, deliver func(*port)) {
	time.AfterFunc(time.Millisecond, func() {
		w := p.world
		w.mu.Lock()
		var dst *port
		if r := w.rooms[to]; r != nil && !w.cut[to] && !w.cut[p.id] {
			dst = r.port
		}
		w.mu.Unlock()
		if dst != nil {
			deliver(dst)
		}
	})
}

// Send implements transport.Transport.
func (p *port) Send(to model.NodeID, id model.TabletID, msgs []*pb.Message) {
	for _, m := range msgs {
		raw, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		p.carry(to, func(dst *port) {
			got := &pb.Message{}
			if err := proto.Unmarshal(raw, got); err != nil {
				panic(err)
			}
			dst.handler.Raft(p.id, id, got)
		})
	}
}

// Flush implements transport.Transport.
func (p *port) Flush() {}

// Call implements transport.Transport.
func (p *port) Call(to model.NodeID, req []byte, timeout time.Duration, done func([]byte, error)) {
	p.mu.Lock()
	p.next++
	id := p.next
	p.calls[id] = done
	p.mu.Unlock()
	raw := bytes.Clone(req)
	p.carry(to, func(dst *port) {
		dst.handler.Call(p.id, raw, func(resp []byte, err error) {
			copied := bytes.Clone(resp)
			p.world.mu.Lock()
			lost := p.world.loseAnswers
			p.world.mu.Unlock()
			if !lost {
				dst.carry(p.id, func(*port) { p.finish(id, copied, err) })
			}
		})
	})
	time.AfterFunc(timeout, func() { p.finish(id, nil, transport.ErrUnknown) })
}

func (p *port) finish(id uint64, resp []byte, err error) {
	p.mu.Lock()
	done := p.calls[id]
	delete(p.calls, id)
	p.mu.Unlock()
	if done != nil {
		done(resp, err)
	}
}

// SendSnapshot implements transport.Transport.
func (p *port) SendSnapshot(ctx context.Context, to model.NodeID, header []byte, body func(io.Writer) error) error {
	var stream bytes.Buffer
	if err := body(&stream); err != nil {
		return err
	}
	answer := make(chan error, 1)
	p.carry(to, func(dst *port) {
		answer <- dst.handler.Snapshot(p.id, bytes.Clone(header), bytes.NewReader(stream.Bytes()))
	})
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("no answer to a snapshot")
	}
}

// Close implements transport.Transport.
func (p *port) Close() error {
	p.mu.Lock()
	next := p.next
	p.mu.Unlock()
	for id := uint64(1); id <= next; id++ {
		p.finish(id, nil, transport.ErrUnknown)
	}
	return nil
}

// The commands of the tests: a queue and a table, which need no catalog entry.
const (
	testQueue model.ResourceID = 100
	testTable model.ResourceID = 101
)

func sendCommand(id byte, slot model.Slot, body string) *model.Command {
	send := model.Send{Settings: model.QueueSettings{RetentionMs: 3_600_000}, Entries: []model.SendEntry{{Message: model.Message{ID: model.MessageID{id}, Body: []byte(body)}}}}
	return &model.Command{Kind: model.CmdSend, ID: model.RequestID{id}, Resource: testQueue, Slot: slot, Body: send.Append(nil)}
}

func receiveCommand(id byte, slot model.Slot) *model.Command {
	body := model.Receive{Settings: model.QueueSettings{RetentionMs: 3_600_000}, Max: 1, VisibilityMs: 30_000, Nonce: uint64(id)}
	return &model.Command{Kind: model.CmdReceive, ID: model.RequestID{id, 1}, Resource: testQueue, Slot: slot, Body: body.Append(nil)}
}

// visible is how many messages a queue's slot holds, as a strong read says.
func (r *room) visible(slot model.Slot) (uint64, error) {
	q := model.QueueQuery{NowMs: time.Now().UnixMilli()}
	res, err := r.Read(context.Background(), &model.Query{Kind: model.QueryQueue, Resource: testQueue, Slot: slot, Body: q.Append(nil)}, true)
	if err != nil {
		return 0, err
	}
	var c model.QueueCounts
	d := model.NewDecoder(res.Body)
	c.Decode(d)
	return c.Visible, d.Done()
}

func (w *world) wantVisible(r *room, slot model.Slot, want uint64) {
	w.t.Helper()
	if got, err := r.visible(slot); err != nil || got != want {
		w.t.Errorf("node %v counts %d messages, %v, want %d", r.id, got, err, want)
	}
}

// put writes an item of the table whose key is name.
func putCommand(name string, slot model.Slot, size int) *model.Command {
	item := model.Item{{Name: "p", Value: model.StringValue(name)}, {Name: "v", Value: model.StringValue(string(bytes.Repeat([]byte{'x'}, size)))}}
	put := model.PutItem{Key: keyOf(name), Item: model.AppendItem(nil, item)}
	return &model.Command{Kind: model.CmdPutItem, Resource: testTable, Slot: slot, Body: put.Append(nil)}
}

func keyOf(name string) []byte { return keys.AppendValue(nil, model.StringValue(name)) }

// has reports whether a node's own state holds the item.
func (r *room) has(name string, slot model.Slot) bool {
	get := model.GetItem{Key: keyOf(name)}
	res, err := r.Read(context.Background(), &model.Query{Kind: model.QueryGetItem, Resource: testTable, Slot: slot, Body: get.Append(nil)}, false)
	var got model.GetResult
	d := model.NewDecoder(res.Body)
	got.Decode(d)
	return err == nil && d.Done() == nil && got.Found
}

func (r *room) propose(cmd *model.Command) error {
	res, err := r.Propose(context.Background(), cmd)
	if err == nil && res.Status != model.StatusOK {
		return fmt.Errorf("status %d: %s", res.Status, res.Body)
	}
	return err
}

// kindOf is the kind of an error, or 0.
func kindOf(err error) model.ErrorKind {
	var known *model.Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return 0
}
