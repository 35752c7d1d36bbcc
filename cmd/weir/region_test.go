package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/server"
)

func TestRegionRefused(t *testing.T) {
	for _, args := range [][]string{
		{"conflicts"}, {"conflicts", "list"}, {"conflicts", "policy", "a", "b", "c"}, {"region"}, {"region", "name"}, {"region", "token"}, {"region", "sync"}, {"region", "link", "eat", "x"}, {"region", "link", "add"}, {"region", "role", "x", "king"}, {"region", "failover", "x"}, {"region", "failover", "x", "--planned", "--forced"}, {"region", "failover", "x", "--planned", "--despite-held"},
	} {
		if err := dispatch(args); err == nil || errors.Is(err, errUsage) || strings.Contains(err.Error(), "cannot ask") {
			t.Errorf("weir %q: %v", args, err)
		}
	}
}

func startRegion(t *testing.T) *server.Server { return startFollower(t, "", "") }

// startFollower starts a node that follows another one, if any.
func startFollower(t *testing.T, primary, token string) *server.Server {
	t.Helper()
	s, err := server.Start(context.Background(), server.Config{
		DataDir: t.TempDir(), Follow: primary, Token: token, AWSAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0",
		Tablets: 2, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestReplicationPage runs the commands of docs/replication.md, in their order,
// against two real nodes, and checks in between that items and deletes arrive.
func TestReplicationPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/replication.md")
	if err != nil {
		t.Fatal(err)
	}
	east, west := startRegion(t), startRegion(t)
	e, w := regionClient(t, east), regionClient(t, west)
	e.create("orders")
	e.put("orders", "before", "1")
	units := newRegionUnits(t, east, west)
	addresses := strings.NewReplacer(
		"127.0.0.1:4580", east.Addresses().Console, "127.0.0.1:4590", east.Addresses().Peer,
		"127.0.0.1:4680", west.Addresses().Console, "127.0.0.1:4690", west.Addresses().Peer,
	)
	token, conflict, winner, loser, ran := "", "", "", "", 0
	for _, line := range shellLines(string(page)) {
		args := strings.Fields(strings.ReplaceAll(addresses.Replace(line), "'", ""))
		for i := range args {
			if args[i] == "TOKEN" {
				args[i] = token
			}
			if args[i] == "CONFLICT" {
				args[i] = conflict
			}
		}
		if args[1] == "serve" {
			c := regionClient(t, startFollower(t, args[3], args[5]))
			c.want("orders", "before", "1")
			if err := c.tryPut("orders", "own", "x"); err == nil || !strings.Contains(err.Error(), "takes no writes in this region") {
				t.Errorf("a follower takes a write: %v", err)
			}
			continue
		}
		out, err := output(t, func() error { return dispatch(args[1:]) })
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		ran++
		switch {
		case strings.HasPrefix(line, "weir region token"):
			token = strings.TrimSpace(out)
		case strings.HasPrefix(line, "weir region link add to-west"):
			w.want("orders", "before", "1")
			e.put("orders", "after", "2")
			w.want("orders", "after", "2")
			e.delete("orders", "before")
			w.want("orders", "before", "")
			e.create("user_late") // comes with the list's *
			e.put("user_late", "x", "3")
			w.want("user_late", "x", "3")
			again := append([]string{}, args[1:]...)
			again[3] = "second" // region link add NAME
			if err := dispatch(again); err == nil || !strings.Contains(err.Error(), "token") {
				t.Errorf("a token was good twice: %v", err)
			}
		case strings.HasPrefix(line, "weir region link pause to-east"):
			e.hearsNothing(w, "orders") // within some moments of the pause
			w.hearsNothing(e, "orders")
			e.put("orders", "cup", "red")
			w.put("orders", "cup", "blue")
		case strings.HasPrefix(line, "weir region link resume to-east"):
			// Written within one millisecond, either may be the later one.
			winner, loser = e.agrees(w, "orders", "cup"), "red"
			if winner == "red" {
				loser = "blue"
			}
		case strings.HasPrefix(line, "weir conflicts list"):
			conflict = ""
			for _, row := range strings.Split(out, "\n") {
				if strings.Contains(row, `S"cup"`) && strings.Contains(row, loser) && strings.Contains(row, "last-writer") {
					conflict = strings.Fields(row)[0]
				}
			}
			if conflict == "" || !strings.Contains(out, "for 30 days") {
				t.Fatalf("list: %s", out)
			}
		case strings.HasPrefix(line, "weir conflicts show"):
			if !strings.Contains(out, "blue") || !strings.Contains(out, "red") || !strings.Contains(out, "west") || winner != "blue" {
				t.Errorf("show: %s", out)
			}
		case strings.HasPrefix(line, "weir conflicts restore"):
			e.want("orders", "cup", loser)
			w.want("orders", "cup", loser)
		case strings.HasPrefix(line, "weir conflicts policy orders --"):
			if !strings.Contains(out, "counter") {
				t.Errorf("policy: %s", out)
			}
			for range 20 {
				e.add("orders", "visits", "1")
				w.add("orders", "visits", "2")
			}
			e.wantNumber("orders", "visits", "60")
			w.wantNumber("orders", "visits", "60")
		case strings.HasPrefix(line, "weir region link pause"):
			e.put("orders", "paused", "4")
		case strings.HasPrefix(line, "weir region link resume"):
			w.want("orders", "paused", "4")
		case strings.Contains(line, "--mode manual"):
			e.put("orders", "manual", "5")
		case strings.Contains(line, "--mode sync "):
			e.put("orders", "sync", "10")
			if got := w.get("orders", "sync"); got != "10" {
				t.Errorf("the other region has %q when the answer comes", got)
			}
		case strings.HasPrefix(line, "weir region sync"):
			w.want("orders", "manual", "5")
		case strings.HasPrefix(line, "weir region failover to-west"):
			w.put("orders", "moved", "7")
			if err := e.tryPut("orders", "x", "x"); err == nil || !strings.Contains(err.Error(), "takes no writes in this region") {
				t.Errorf("the old primary takes a write: %v", err)
			}
			e.want("orders", "moved", "7")
		case strings.HasPrefix(line, "weir region link add jobs-to-west"):
			units.shipped()
		case strings.HasPrefix(line, "weir region link alter jobs-to-west --mode sync"):
			units.synchronous()
		case strings.HasPrefix(line, "weir region failover jobs-to-west"):
			units.takenOver()
		case strings.HasPrefix(line, "weir region drill back-jobs"):
			units.drilled(out)
		case strings.HasPrefix(line, "weir region failover to-east --planned"):
			e.put("orders", "home", "8")
		case strings.HasPrefix(line, "weir region drill"):
			if strings.Count(out, "0 changes") != 2 {
				t.Errorf("drill: %s", out)
			}
		case strings.HasPrefix(line, "weir region failover to-east --forced"):
			w.put("orders", "forced", "9")
			e.want("orders", "forced", "9")
			e.refuses("orders")
		case strings.HasPrefix(line, "weir region verify"):
			if !strings.Contains(out, "0 differences") {
				t.Errorf("verify: %s", out)
			}
		case strings.HasPrefix(line, "weir region link add to-east"):
			w.put("orders", "both", "6")
			e.want("orders", "both", "6")
			w.delete("orders", "after")
			e.want("orders", "after", "")
		case strings.HasPrefix(line, "weir region status"):
			if winner != "" && !strings.Contains(out, "counter") || !strings.Contains(out, "to-west") || !strings.Contains(out, "east") || !strings.Contains(out, "west") {
				t.Errorf("status: %s", out)
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands were found on the page", ran)
	}
}

// shellLines are the lines of a page's blocks marked sh.
func shellLines(page string) (lines []string) {
	in := false
	for _, line := range strings.Split(page, "\n") {
		switch {
		case line == "```sh":
			in = true
		case line == "```":
			in = false
		case in:
			lines = append(lines, line)
		}
	}
	return lines
}

// output runs f and returns what it prints.
func output(t *testing.T, f func() error) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	err = f()
	os.Stdout = stdout
	_ = w.Close()
	text, rerr := io.ReadAll(r)
	if rerr != nil {
		t.Fatal(rerr)
	}
	return string(text), err
}

// regionSoon bounds how long an item may take to arrive.
const regionSoon = 20 * time.Second
