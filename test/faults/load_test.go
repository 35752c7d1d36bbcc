package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/weirtest/awsclient"
)

const (
	// attemptTimeout bounds one try of a call; the next goes to another node.
	attemptTimeout = 1500 * time.Millisecond
	// attempts bounds the tries of a call that must not fail: about a minute.
	attempts = 60
	// settleTimeout bounds what a load still does after its clients stopped.
	settleTimeout = 40 * time.Second
)

// spread sends every try of every call to the next node in turn, as a load
// balancer would: so a retry, with the same invocation id, meets another node.
// A node that gave no answer is left out for a moment.
type spread struct {
	client *http.Client
	hosts  []string

	mu   sync.Mutex // guards what follows
	next int
	out  map[string]time.Time // until when a node is left out
}

// outFor is how long a node that gave no answer is left out.
const outFor = time.Second

// Do implements aws.HTTPClient. The Host header stays the one that was signed.
func (s *spread) Do(req *http.Request) (*http.Response, error) {
	if req.Host == "" {
		req.Host = req.URL.Host
	}
	host := s.choose()
	req.URL.Host = host
	resp, err := s.client.Do(req)
	if err != nil {
		s.mu.Lock()
		s.out[host] = time.Now().Add(outFor)
		s.mu.Unlock()
	}
	return resp, err
}

// choose is the next node that is not left out, or just the next.
func (s *spread) choose() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for range s.hosts {
		s.next++
		if host := s.hosts[s.next%len(s.hosts)]; now.After(s.out[host]) {
			return host
		}
	}
	s.next++
	return s.hosts[s.next%len(s.hosts)]
}

// config is for clients of all nodes that try as often as they are told.
func (c *cluster) config(tries int) aws.Config {
	cfg := awsclient.Config(c.nodes[0].Endpoint())
	cfg.Credentials = credentials.NewStaticCredentialsProvider(accessKey, secret, "")
	s := &spread{out: map[string]time.Time{}, client: &http.Client{Timeout: attemptTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	for _, n := range c.nodes {
		s.hosts = append(s.hosts, n.AWS())
	}
	cfg.HTTPClient = s
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = tries, 150*time.Millisecond, ratelimit.None
		})
	}
	return cfg
}

// load is all that clients do to the cluster during one scenario.
type load struct {
	t       *testing.T
	c       *cluster
	name    string // of the scenario; in the names of its tables and queues
	tables  *dynamodb.Client
	queues  *sqs.Client
	once    *dynamodb.Client // tries once: what failed is looked at
	begun   time.Time
	stop    func()        // clients begin nothing more
	stopped chan struct{} // closed by stop
	clients sync.WaitGroup

	parts []part
	gaps  gaps
}

// part is one kind of clients and what must be true in the end.
type part interface {
	// start makes what the clients need and starts them.
	start()
	// check is called when all clients have stopped and the cluster is whole.
	check()
}

// startLoad starts all clients.
func startLoad(t *testing.T, c *cluster, name string) *load {
	t.Helper()
	steady := c.config(attempts)
	l := &load{
		t: t, c: c, name: name, begun: time.Now(), stopped: make(chan struct{}),
		tables: dynamodb.NewFromConfig(steady), queues: sqs.NewFromConfig(steady), once: dynamodb.NewFromConfig(c.config(1)),
	}
	l.stop = sync.OnceFunc(func() { close(l.stopped) })
	t.Cleanup(func() { // also when the scenario gave up halfway
		l.stop()
		l.clients.Wait()
	})
	l.parts = []part{&sums{load: l}, &counters{load: l}, &history{load: l}, &mail{load: l}, &clicks{load: l}}
	stream := &records{load: l}
	l.parts = append(l.parts, stream, &totals{load: l, of: stream})
	for _, p := range l.parts {
		p.start()
	}
	l.gaps.reset()
	return l
}

// finish stops the clients, waits until the cluster is whole, and checks all.
func (l *load) finish() {
	l.t.Helper()
	l.stop()
	l.clients.Wait()
	l.c.waitWhole(l.t, "in the end", 0)
	for _, p := range l.parts {
		p.check()
	}
}

// client runs work until the load stops, with a pause after each time.
func (l *load) client(pause time.Duration, work func(ctx context.Context, i int)) {
	l.clients.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := 0; ; i++ {
			work(ctx, i)
			select {
			case <-l.stopped:
				return
			case <-tick.C:
			}
		}
	})
}

// hold lets the clients work for a while.
func (l *load) hold(d time.Duration) { time.Sleep(d) }

// table makes a table with the key pk.
func (l *load) table(kind string) *string {
	l.t.Helper()
	name := aws.String(l.name + "-" + kind)
	_, err := l.tables.CreateTable(l.t.Context(), &dynamodb.CreateTableInput{
		TableName: name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return name
}

// queue makes a queue and returns its URL.
func (l *load) queue(kind, visibility string) *string {
	l.t.Helper()
	out, err := l.queues.CreateQueue(l.t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String(l.name + "-" + kind), Attributes: map[string]string{"VisibilityTimeout": visibility},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out.QueueUrl
}

// until waits for a condition that the cluster reaches by itself.
func (l *load) until(what string, holds func() (bool, string)) {
	l.t.Helper()
	begun := time.Now()
	for {
		ok, seen := holds()
		if ok {
			return
		}
		if time.Since(begun) > settleTimeout {
			l.t.Errorf("%s: not after %v: %s", what, settleTimeout, seen)
			return
		}
		time.Sleep(100 * time.Millisecond) // a real process: there is nothing to wait on
	}
}

// gaps is the longest time between two acknowledged writes of one item.
type gaps struct {
	mu      sync.Mutex // guards what follows
	last    map[string]time.Time
	longest time.Duration
	where   string
	acked   int
}

// reset begins a new measurement.
func (g *gaps) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for item := range g.last {
		g.last[item] = time.Now()
	}
	g.longest, g.where, g.acked = 0, "", 0
}

// ack notes an acknowledged write.
func (g *gaps) ack(item string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.last == nil {
		g.last = map[string]time.Time{}
	}
	if last, ok := g.last[item]; ok && now.Sub(last) > g.longest {
		g.longest, g.where = now.Sub(last), item
	}
	g.last[item] = now
	g.acked++
}

// report prints the longest gap since the last reset, and fails above most.
func (g *gaps) report(t *testing.T, what string, most time.Duration) time.Duration {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for item, last := range g.last { // those that are still waiting
		if gap := time.Since(last); gap > g.longest {
			g.longest, g.where = gap, item
		}
	}
	text := fmt.Sprintf("%s: longest time between two acknowledged writes of one item %v (%s), %d writes", what, g.longest.Round(time.Millisecond), g.where, g.acked)
	if most > 0 && g.longest > most {
		t.Errorf("%s; want at most %v", text, most)
		return g.longest
	}
	t.Log(text)
	return g.longest
}
