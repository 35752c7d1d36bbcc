package model

import (
	"fmt"
	"time"
)

// AllPatience is how long an answer waits for the last voters.
const AllPatience = 2 * time.Second

// Level says how many replicas have a write on disk before it is answered. The
// numbers are part of the stored format and grow with the strength.
type Level uint8

// The levels.
const (
	// LevelQuorum: a majority of the voters.
	LevelQuorum Level = 0
	// LevelAllIfUp: every voter, or, when one does not have it within
	// AllPatience, a majority: the answer names the level reached.
	LevelAllIfUp Level = 1
	// LevelAll: every voter. When one does not have it within AllPatience the
	// request fails, though a majority has the write and will keep it.
	LevelAll Level = 2
)

var levelNames = [...]string{LevelQuorum: "quorum", LevelAllIfUp: "all-if-up", LevelAll: "all"}

func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// ParseLevel reads a level's name: quorum, all-if-up or all.
func ParseLevel(name string) (Level, error) {
	for l, n := range levelNames {
		if n == name {
			return Level(l), nil
		}
	}
	return 0, Errorf(ErrValidation, "%q is no level of durability: quorum, all-if-up and all are", name)
}
