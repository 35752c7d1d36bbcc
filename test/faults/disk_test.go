package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sys/unix"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

// notHere says that this machine cannot test something: a failure where all
// must be tested.
func notHere(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CI") != "" && os.Geteuid() == 0 {
		t.Fatalf("CI must test %s: %v", what, err)
	}
	t.Skipf("NOT TESTED: %s: %v", what, err)
}

// run runs a command of the machine.
func run(args ...string) error {
	_, err := output(args...)
	return err
}

// output is what a command of the machine prints.
func output(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// diary writes items one after the other and remembers those that were
// acknowledged.
type diary struct {
	t      *testing.T
	client *dynamodb.Client
	table  string

	mu    sync.Mutex // guards what follows
	acked []string
}

func newDiary(t *testing.T, n *process.Node, table string) *diary {
	t.Helper()
	cfg := awsclient.Config(n.Endpoint())
	cfg.RetryMaxAttempts = 1
	d := &diary{t: t, client: dynamodb.NewFromConfig(cfg), table: table}
	pk := "pk"
	_, err := d.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &d.table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &pk, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &pk, KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// write writes an item of about a kilobyte.
func (d *diary) write(key string) error {
	ctx, cancel := context.WithTimeout(d.t.Context(), 3*time.Second)
	defer cancel()
	_, err := d.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &d.table, Item: item{"pk": s(key), "v": s(strings.Repeat("x", 1000))}})
	if err == nil {
		d.mu.Lock()
		d.acked = append(d.acked, key)
		d.mu.Unlock()
	}
	return err
}

// remove deletes the oldest acknowledged item, which may then be there or not.
func (d *diary) remove() error {
	ctx, cancel := context.WithTimeout(d.t.Context(), 3*time.Second)
	defer cancel()
	key := d.acked[0]
	d.acked = d.acked[1:]
	_, err := d.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &d.table, Key: item{"pk": s(key)}})
	return err
}

// check reads every acknowledged item.
func (d *diary) check(when string) {
	d.t.Helper()
	strong, missing := true, 0
	for _, key := range d.acked {
		got, err := d.client.GetItem(d.t.Context(), &dynamodb.GetItemInput{TableName: &d.table, Key: item{"pk": s(key)}, ConsistentRead: &strong})
		if err != nil {
			d.t.Fatalf("%s: %v", when, err)
		}
		if len(got.Item) == 0 {
			missing++
		}
	}
	if missing > 0 {
		d.t.Errorf("%s: %d of %d acknowledged items are lost", when, missing, len(d.acked))
	} else {
		d.t.Logf("%s: all %d acknowledged items are there", when, len(d.acked))
	}
}

// writesAgain waits until a write is acknowledged.
func (d *diary) writesAgain(when string) {
	d.t.Helper()
	for begun := time.Now(); d.write(fmt.Sprint(when, time.Since(begun))) != nil; time.Sleep(100 * time.Millisecond) { // a real process: there is nothing to wait on
		if time.Since(begun) > 15*time.Second {
			d.t.Fatalf("no writes are taken: %s", when)
		}
	}
}

// smallDisk is a disk of that size in memory. It also takes away those of test
// processes that died before they could do so.
func smallDisk(t *testing.T, size string) (dir string) {
	t.Helper()
	const source = "weir-test-%d"
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		notHere(t, "a full disk", err)
	}
	for line := range strings.Lines(string(mounts)) {
		var pid int
		var at string
		if _, err := fmt.Sscanf(line, source+" %s tmpfs", &pid, &at); err != nil {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); os.IsNotExist(err) {
			_ = run("umount", "-l", at) // or another test process did
		}
	}
	dir = t.TempDir()
	if err := run("mount", "-t", "tmpfs", "-o", "size="+size, fmt.Sprintf(source, os.Getpid()), dir); err != nil {
		notHere(t, "a full disk", err)
	}
	t.Cleanup(func() { _ = run("umount", "-l", dir) }) // a node that still runs is killed by its own cleanup
	return dir
}

// TestDiskFull fills the disk under a node: first to its reserve, then to the
// last byte. It refuses what adds data with an error that says why, serves reads
// and deletes while it can, loses nothing, and goes on when there is room.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "400m")
	n := process.Start(t, process.Options{Dir: filepath.Join(disk, "data")})
	d := newDiary(t, n, "diary")
	for i := range 200 {
		if err := d.write(fmt.Sprint("before", i)); err != nil {
			t.Fatal(err)
		}
	}
	filler := filepath.Join(disk, "filler")
	fill(t, filler, 40<<20)
	var unavailable *types.InternalServerError
	var err error
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(50 * time.Millisecond) { // a real process: there is nothing to wait on
		if err = d.write(fmt.Sprint("filling", time.Since(begun))); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "nearly full") || errors.As(err, &unavailable) {
		t.Errorf("a write to a full disk: %v", err)
	}
	if err := d.remove(); err != nil {
		t.Errorf("a delete on a nearly full disk: %v", err)
	}
	d.check("with the disk nearly full")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.writesAgain("after room was made")

	fill(t, filler, 0)
	for i := range 8 {
		if err := d.write(fmt.Sprint("full", i)); err == nil && i > 5 {
			t.Errorf("write %d was acknowledged with no room at all for seconds", i)
		}
		time.Sleep(200 * time.Millisecond) // a real process: there is nothing to wait on
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if !n.Running() { // it said that it cannot go on
		t.Logf("the node ended with no byte left on the disk:\n%s", n.LogTail(2))
		n.Start()
		n.WaitReady()
	}
	d.writesAgain("after the disk was full to the last byte")
	d.check("in the end")
	n.Kill()
	n.Start()
	n.WaitReady()
	d.check("after a restart")
}

// fill makes a file that leaves so many bytes free on its disk.
func fill(t *testing.T, path string, free uint64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 256<<10)
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
			t.Fatal(err)
		}
		if st.Bavail*uint64(st.Bsize) <= free {
			return
		}
		if _, err := f.Write(chunk); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

const (
	shutdownIoctl   = 0x8004587d // EXT4_IOC_SHUTDOWN, which is XFS's too
	shutdownNoFlush = 2          // what is not on the disk is lost, the file system's log too
	powerCuts       = 3
)

// TestPowerCut ends a node's file system as a power cut does, by the ioctl that
// is made for it, and starts the node on what the disk has: every write that was
// acknowledged is there.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"truncate", "-s", "600M", image}, {"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, mount}} {
		if err := run(command...); err != nil {
			notHere(t, "power cuts", err)
		}
	}
	t.Cleanup(func() { _ = run("umount", "-l", mount) })
	n := process.New(t, process.Options{Dir: filepath.Join(mount, "data")})
	n.Start()
	n.WaitReady()
	d := newDiary(t, n, "diary")
	for cut := range powerCuts {
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if d.write(fmt.Sprintf("cut%d-%d-%d", cut, w, i)) != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Second) // clients at work
		if err := shutdown(mount); err != nil {
			close(stop)
			writers.Wait()
			notHere(t, "power cuts", err)
		}
		close(stop)
		n.Kill()
		writers.Wait()
		if err := run("umount", mount); err != nil {
			t.Fatal(err)
		}
		if err := run("mount", "-o", "loop", image, mount); err != nil {
			t.Fatal(err)
		}
		n.Start()
		n.WaitReady()
		d.check(fmt.Sprintf("after power cut %d", cut+1))
	}
	if len(d.acked) < 100 {
		t.Errorf("only %d writes were acknowledged in all: nothing was tested", len(d.acked))
	}
}

// shutdown cuts the power of a file system.
func shutdown(mount string) error {
	f, err := os.Open(mount)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(shutdownNoFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdownIoctl, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("cannot shut the file system down: %w", errno)
	}
	return nil
}
