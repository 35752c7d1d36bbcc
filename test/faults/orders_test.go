package faults

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	orderClients = 4
	orderKeys    = 5 // of each client
	// orderPause is between two writes of a client.
	orderPause = 20 * time.Millisecond
)

// orders is clients that write numbered values, each under keys of its own, in
// the region that takes them: when one refuses they go to the other.
type orders struct {
	t       *testing.T
	r       *regions
	clients map[*cluster]*dynamodb.Client
	stopped chan struct{}
	stop    func()
	running sync.WaitGroup
	gap     gaps // of all clients together

	going   sync.RWMutex // held for writing while the clients shall rest
	resting bool         // it is

	mu    sync.Mutex // guards what follows
	at    *cluster
	acked map[string]int // by key, the last number that was acknowledged
}

var ordersTable = aws.String("orders")

func startOrders(r *regions) *orders {
	r.t.Helper()
	o := &orders{t: r.t, r: r, at: r.east, acked: map[string]int{}, stopped: make(chan struct{}), clients: map[*cluster]*dynamodb.Client{}}
	for _, c := range []*cluster{r.east, r.west} {
		o.clients[c] = dynamodb.NewFromConfig(c.config(1))
	}
	_, err := dynamodb.NewFromConfig(r.east.config(attempts)).CreateTable(r.t.Context(), &dynamodb.CreateTableInput{
		TableName: ordersTable, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	o.stop = sync.OnceFunc(func() { close(o.stopped) })
	for c := range orderClients {
		o.running.Go(func() { o.client(c) })
	}
	r.t.Cleanup(o.finish)
	return o
}

func (o *orders) hold(d time.Duration) { time.Sleep(d) }

func (o *orders) finish() {
	o.stop()
	o.resume()
	o.running.Wait()
}

// client writes until the load stops. What fails is not tried again: the next
// write is of another key, with a higher number.
func (o *orders) client(c int) {
	tick := time.NewTicker(orderPause)
	defer tick.Stop()
	for i := 1; ; i++ {
		o.write(fmt.Sprintf("k%d-%d", c, i%orderKeys), i)
		select {
		case <-o.stopped:
			return
		case <-tick.C:
		}
	}
}

func (o *orders) write(key string, number int) {
	o.going.RLock()
	defer o.going.RUnlock()
	at := o.active()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	_, err := o.clients[at].PutItem(ctx, &dynamodb.PutItemInput{TableName: ordersTable, Item: item{"pk": s(key), "n": n(number)}})
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.acked[key] = number
		o.gap.ack("any")
	case o.at == at && at == o.r.east && passive(err):
		o.at = o.r.west
	case o.at == at && passive(err):
		o.at = o.r.east
	}
}

// active is the region that takes the writes, as far as the clients know.
func (o *orders) active() *cluster {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at
}

func (o *orders) use(c *cluster) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = c
}

// pause returns when no write is under way, with what was acknowledged by then;
// none is begun until resume.
func (o *orders) pause() (acked map[string]int) {
	o.going.Lock()
	o.resting = true
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.acked)
}

func (o *orders) resume() {
	if o.resting {
		o.resting = false
		o.going.Unlock()
	}
}

// content is the number under each key in a region.
func (o *orders) content(c *cluster) map[string]int {
	o.t.Helper()
	content := map[string]int{}
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(c.config(attempts)), &dynamodb.ScanInput{TableName: ordersTable, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(o.t.Context())
		if err != nil {
			o.t.Fatal(err)
		}
		for _, it := range page.Items {
			content[it["pk"].(*str).Value] = number(it, "n")
		}
	}
	return content
}

// passive reports whether a region says that another one takes the writes.
func passive(err error) bool {
	return strings.Contains(err.Error(), "takes no writes in this region")
}
