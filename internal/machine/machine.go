// Package machine is the pure function that applies commands to a tablet's
// data, and answers queries about it.
//
// Apply is called for the commands of one tablet in log order, on every
// replica, and must write the same bytes everywhere: it asks no clock, makes
// no random choice and never ranges over a Go map. All state is in the keys it
// reads and writes; what it keeps in memory besides is derived from them and
// rebuilt by Load. The package starts no goroutine and opens no file.
//
// Start with Apply; each resource has its own files: table*.go, queue*.go,
// pipe*.go, change*.go, catalog*.go.
package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Reader reads a tablet's state. Errors are I/O errors and stop the node.
type Reader interface {
	// Get returns a copy of the value stored under key; ok is false when there
	// is none.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan returns an iterator over the keys in [lo, hi), ascending, or
	// descending when reverse is set. The caller closes it.
	Scan(lo, hi []byte, reverse bool) (Iterator, error)
}

// Iterator walks over stored keys. Key and Value are valid until the next
// call of Next.
type Iterator interface {
	// Next moves to the first or next key; false at the end or on an error.
	Next() bool
	Key() []byte
	Value() []byte
	// Close releases the iterator and returns the error that ended it, if any.
	Close() error
}

// Writer collects the changes of one command, which take effect together.
// A Reader does not see them before the command is done, so a command never
// reads what it wrote. Slices may be reused after the call.
type Writer interface {
	Set(key, value []byte)
	// SetNew is Set with the promise that the key is absent, the command's changes
	// before this one counted: when it is deleted soon after, the storage need not
	// look for an older value to delete. A promise that is not kept brings back
	// what was deleted.
	SetNew(key, value []byte)
	Delete(key []byte)
	DeleteRange(lo, hi []byte)
}

// Tx is one command being applied.
type Tx struct {
	Reader
	Writer
	Index   model.Index    // the log entry that holds the command
	Command *model.Command // stamped
	// Wake is set by commands that may make work for those who wait on
	// (Command.Resource, Command.Slot): messages became visible. It is advice
	// for the leader and no part of the state.
	Wake bool
	// Buried is set by commands that put messages among the dead ones, which are
	// to be moved. It is advice, too.
	Buried bool

	taken   []keys.QueueEntry // Outcome's
	wanted  wanted            // what the readers of the resource's changes want
	changes *changeLog        // where they find them

	key, value []byte // room for one of each: Set keeps neither
}

// applyFunc applies one kind of command. An error is an I/O error or
// corruption and stops the node; everything else is a Result.
type applyFunc func(m *Machine, tx *Tx) (model.Result, error)

// queryFunc answers one kind of query.
type queryFunc func(r Reader, q *model.Query) (model.Result, error)
