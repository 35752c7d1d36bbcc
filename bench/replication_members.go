package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// memberStatus is what a cluster says of its members and tablets.
type memberStatus struct {
	Nodes   []memberNode
	Tablets []struct {
		ID       uint64
		Leader   string
		Replicas []memberReplica
	}
}

type memberNode struct {
	ID, Address  string
	Up           bool
	Leads, Holds int
}

type memberReplica struct {
	Node      string
	Voter, Up bool
	Lag       uint64
}

func (g *growing) status() (s memberStatus, err error) {
	out, err := ask(g.weirBinary, g.nodes[0], "status", "--json")
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	return s, err
}

func (g *growing) idOf(n *weirNode) (string, error) {
	s, err := g.status()
	if err != nil {
		return "", err
	}
	for _, m := range s.Nodes {
		if m.Address == n.peer {
			return m.ID, nil
		}
	}
	return "", fmt.Errorf("%s is no member", n.Name)
}

// settled reports whether every tablet has a leader and three voters that are up
// and nearly caught up, and no other replica: but for the catalog, which every
// node has.
func (s *memberStatus) settled() bool {
	for _, t := range s.Tablets {
		voters := 0
		for _, r := range t.Replicas {
			switch {
			case r.Voter && r.Up && r.Lag <= growLag:
				voters++
			case r.Voter || t.ID != 0:
				return false
			}
		}
		if voters != 3 || !slices.ContainsFunc(t.Replicas, func(r memberReplica) bool { return r.Node == t.Leader }) {
			return false
		}
	}
	return len(s.Tablets) > 1
}

// places is who holds and leads what.
func (s *memberStatus) places() string {
	var text strings.Builder
	for _, t := range s.Tablets {
		fmt.Fprint(&text, t.ID, t.Leader)
		for _, r := range t.Replicas {
			fmt.Fprint(&text, r.Node)
		}
	}
	return text.String()
}

// balanced waits until the cluster is as it shall be and nothing has moved for a
// while; the note says when the last thing moved.
func (g *growing) balanced(fits func(*memberStatus) bool) (note string, err error) {
	began, moved, last := time.Now(), time.Now(), ""
	for time.Since(began) < growWait {
		s, err := g.status()
		if err == nil {
			if now := s.places(); now != last {
				moved, last = time.Now(), now
			}
			if s.settled() && fits(&s) && time.Since(moved) > growStill {
				return fmt.Sprintf("the last move after %v", moved.Sub(began).Round(100*time.Millisecond)), nil
			}
		}
		time.Sleep(growLook)
	}
	return "", fmt.Errorf("not balanced after %v: %s", growWait, g.nodes[0].Tail())
}
