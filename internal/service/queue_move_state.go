package service

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

// A task that moves messages is a pipe under a reserved name, which package pipe
// runs: movePrefix, the source's id, and a number that grows with each task of
// the source. So of two tasks that begin at once only one gets the name. Its
// state is the pipe's Text, as JSON.

const (
	movePrefix = "move/"
	// MoveMapping stands in place of the mapping of a task's pipe.
	MoveMapping = "move"
	// maxMoveTasks is how many tasks of a source are remembered.
	maxMoveTasks = 10
	// maxMovePerSec is SQS's highest MaxNumberOfMessagesPerSecond.
	maxMovePerSec = 500
	// maxMoveClaims is how many claims of a task are open at once.
	maxMoveClaims = 16
)

// The states of tasks, and the reasons of failures, in AWS's words.
const (
	MoveRunning    = "RUNNING"
	MoveCompleted  = "COMPLETED"
	MoveCancelling = "CANCELLING"
	MoveCancelled  = "CANCELLED"
	MoveFailed     = "FAILED"

	MoveUnknownSource = "CouldNotDetermineMessageSource"
	MoveNoQueue       = "AWS.SimpleQueueService.NonExistentQueue"
)

// MoveState is what the catalog keeps of a task besides its pipe.
type MoveState struct {
	Status      string
	Source      string
	Destination string   // "": each message goes to the queue it died in
	MaxPerSec   int64    // 0: no limit
	ToMove      uint64   // messages in the source when it began
	Last        []uint64 // by slot of the source: the highest number when it began
	Moved       uint64   // once it has ended
	Reason      string   // of a failure
}

// Ended reports whether the task does nothing any more.
func (m *MoveState) Ended() bool { return m.Status != MoveRunning && m.Status != MoveCancelling }

// IsMoveTask reports whether a pipe's name is that of a task.
func IsMoveTask(pipe string) bool { return strings.HasPrefix(pipe, movePrefix) }

// ReadMoveState reads the state of a task from its pipe.
func ReadMoveState(spec *model.PipeSpec) (*MoveState, error) {
	m := &MoveState{}
	return m, json.Unmarshal([]byte(spec.Text), m)
}

func (m *MoveState) write(spec *model.PipeSpec) error {
	text, err := json.Marshal(m)
	spec.Text = string(text)
	return err
}

// moveTask is a task as the catalog has it.
type moveTask struct {
	resource *model.Resource
	spec     model.PipeSpec
	state    *MoveState
	number   uint64
}

// moveTasks are a source's tasks, the newest first.
func (s *Service) moveTasks(source model.ResourceID) (tasks []moveTask, err error) {
	prefix := fmt.Sprintf("%s%d/", movePrefix, source)
	c := s.cluster.Catalog()
	for r := range c.Resources.From(model.KindPipe, prefix) {
		digits, ok := strings.CutPrefix(r.Name, prefix)
		if !ok {
			break
		}
		p, err := NewPipe(r)
		if err != nil {
			return nil, err
		}
		t := moveTask{resource: r, spec: p.Spec}
		if t.state, err = ReadMoveState(&t.spec); err != nil {
			return nil, err
		}
		if t.number, err = strconv.ParseUint(digits, 10, 64); err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	slices.SortFunc(tasks, func(a, b moveTask) int { return cmp.Compare(b.number, a.number) })
	return tasks, nil
}

// moveHandle names a task for clients.
func moveHandle(pipe string) string { return base64.URLEncoding.EncodeToString([]byte(pipe)) }
