package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/service"
)

// Config says how a node runs. Addresses are HOST:PORT; port 0 takes any free
// port.
type Config struct {
	DataDir string

	AWSAddr     string // DynamoDB and SQS
	ConsoleAddr string // admin API, health, metrics
	PeerAddr    string // other nodes
	// Advertise is the HOST:PORT at which other nodes reach PeerAddr; needed when
	// PeerAddr's host is a wildcard.
	Advertise string

	// Join is the peer address of a member, to join its cluster with Token. A
	// node that is a member already ignores both.
	Join, Token string
	// Follow is a peer address of another region, whose tables shall all be
	// shipped here and take no writes of clients here; Token is a link token that
	// it made. A region that follows already ignores both.
	Follow string
	// PeerCert, PeerKey and PeerCA are the operator's own certificates (PEM
	// files), instead of those that Weir issues.
	PeerCert, PeerKey, PeerCA string
	// TLSCert and TLSKey make the AWS listener speak HTTPS.
	TLSCert, TLSKey string

	Keys     *auth.Keys // who may sign requests; none is open mode
	Insecure bool       // open mode although a listener is not on loopback
	Region   string
	Account  string

	Zone     string // what fails together with this node; "" is a zone of its own
	ReadOnly bool   // hold a learner of everything and never a voter
	// SnapshotRate bounds the bytes per second of all snapshots that this node
	// sends to others, so that moving data does not stall requests.
	SnapshotRate int

	// ShutdownGrace is how long whoever runs the node lets it serve on, not ready,
	// before Shutdown: see Drain.
	ShutdownGrace time.Duration

	Profile service.Profile // limits that Weir does not need and AWS has

	Tablets     int           // data tablets of a new cluster
	Lanes       int           // event loops
	CacheBytes  int64         // Pebble's block cache; 0: cacheMemory of the machine
	ClockOffset time.Duration // added to the system's clock, for tests of clock skew
	Logger      *slog.Logger
	// Fatal is called when the node cannot go on; it should end the process.
	Fatal func(error)
}

// Defaults of a Config.
const (
	DefaultAWSAddr     = "127.0.0.1:4566"
	DefaultConsoleAddr = "127.0.0.1:4580"
	DefaultPeerAddr    = "127.0.0.1:4590"
	DefaultRegion      = "us-east-1"
	DefaultAccount     = "000000000000"
	DefaultDataDir     = "weir-data"
	logBudgetBytes     = 512 << 20
	cutBytes           = 32 << 20 // about a second to apply again after a crash
	housekeepingEvery  = 500 * time.Millisecond

	// DefaultSnapshotRate leaves most of a common network to requests.
	DefaultSnapshotRate = 64 << 20
)

// fill sets what the caller left out.
func (c *Config) fill() error {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	if c.Follow != "" && c.Join != "" {
		return errors.New("a node joins a cluster with --join or follows another region with --follow, not both")
	}
	def(&c.AWSAddr, DefaultAWSAddr)
	def(&c.ConsoleAddr, DefaultConsoleAddr)
	def(&c.PeerAddr, DefaultPeerAddr)
	def(&c.Region, DefaultRegion)
	def(&c.Account, DefaultAccount)
	def(&c.DataDir, DefaultDataDir)
	if c.SnapshotRate == 0 {
		c.SnapshotRate = DefaultSnapshotRate
	}
	if c.Tablets == 0 {
		c.Tablets = cluster.DefaultTablets
	}
	if c.Tablets < 1 || c.Tablets > 1024 {
		return fmt.Errorf("a cluster has 1 to 1024 tablets, not %d", c.Tablets)
	}
	if c.Lanes == 0 {
		c.Lanes = defaultLanes()
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = cacheMemory(systemMemory(os.DirFS("/")))
	}
	if (c.Join == "" && c.Follow == "") != (c.Token == "") {
		return fmt.Errorf("--join and --token go together: make a token on a member with weir token create; so do --follow and --token, from weir region token")
	}
	host, _, err := net.SplitHostPort(c.PeerAddr)
	if err != nil {
		return fmt.Errorf("the peer address %q is not HOST:PORT", c.PeerAddr)
	}
	if ip := net.ParseIP(host); c.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("the peer listener is on all addresses: say with --advertise HOST:PORT where other nodes reach it")
	}
	return nil
}
