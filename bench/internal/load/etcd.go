package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Etcd reaches etcd over gRPC, with a connection per client and without
// etcd's own client library, whose balancing and retries cost more.
type Etcd struct{ Addrs []string }

type etcdClient struct {
	conn  *grpc.ClientConn
	kv    pb.KVClient
	rng   *rand.Rand
	key   []byte
	value []byte // nil: get
	one   uint64 // the only key, when there is only one
}

func (e *Etcd) open(client int, value []byte) (Client, error) {
	conn, err := grpc.NewClient(e.Addrs[client%len(e.Addrs)], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &etcdClient{conn: conn, kv: pb.NewKVClient(conn), rng: rand.New(rand.NewPCG(uint64(client), rand.Uint64())), value: value}, nil
}

// Put puts a value under a random key.
func (e *Etcd) Put(client int) (Client, error) {
	return e.open(client, Value(rand.New(rand.NewPCG(uint64(client), 1))))
}

// Get gets a random key, linearizably.
func (e *Etcd) Get(client int) (Client, error) { return e.open(client, nil) }

func (c *etcdClient) Close() error { return c.conn.Close() }

func (c *etcdClient) Do() (int, error) {
	key := c.one
	if key == 0 {
		key = c.rng.Uint64N(Keys)
	}
	c.key = appendKey(c.key[:0], key)
	patience := callTimeout
	if c.one > 0 {
		patience = tryTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if c.value != nil {
		_, err := c.kv.Put(ctx, &pb.PutRequest{Key: c.key, Value: c.value})
		return 1, err
	}
	got, err := c.kv.Range(ctx, &pb.RangeRequest{Key: c.key})
	if err == nil && len(got.Kvs) != 1 {
		err = fmt.Errorf("the key %s is not there", c.key)
	}
	return 1, err
}

// tryTimeout is how long PutOne waits before it fails: a member that has lost its
// leader keeps what it was asked for seven seconds.
const tryTimeout = 500 * time.Millisecond

// PutOne puts one key, which is not zero, at the address that the client's
// number names. It gives up soon, so that another member can be asked.
func (e *Etcd) PutOne(key uint64) func(client int) (Client, error) {
	return func(client int) (Client, error) {
		c, err := e.Put(client)
		if err == nil {
			c.(*etcdClient).one = key
		}
		return c, err
	}
}

// Leader is which of the addresses leads; -1 when none says that it does.
func (e *Etcd) Leader() int {
	for i, addr := range e.Addrs {
		if leads(addr) {
			return i
		}
	}
	return -1
}

func leads(addr string) bool {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	return err == nil && s.Leader == s.Header.MemberId
}

type etcdFiller struct {
	etcdClient
	next, step uint64
}

// Fill puts every key once, 100 in one transaction.
func (e *Etcd) Fill(client, clients int) (Client, error) {
	c, err := e.Put(client)
	if err != nil {
		return nil, err
	}
	return &etcdFiller{*c.(*etcdClient), uint64(client), uint64(clients)}, nil
}

func (f *etcdFiller) Do() (int, error) {
	const batch = 100
	if f.next >= Keys/batch {
		return 0, ErrDone
	}
	var txn pb.TxnRequest
	for i := range uint64(batch) {
		put := &pb.PutRequest{Key: appendKey(nil, f.next*batch+i), Value: f.value}
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
	}
	f.next += f.step
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := f.kv.Txn(ctx, &txn)
	return batch, err
}
