package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"weir.dev/weir/internal/machine"
)

// TestRunIsTheSameAsOneByOne: commands that share a run read and leave what
// they would if each were committed before the next, however long the runs are.
func TestRunIsTheSameAsOneByOne(t *testing.T) {
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		one, many := openDB(t, testOptions(NewCrashableFS())), openDB(t, testOptions(NewCrashableFS()))
		single, run := one.NewBatch(), many.NewRun()
		for command := range 200 {
			ops := randomOps(rnd)
			want := applyOps(t, one.View(), single, ops)
			if err := single.Commit(); err != nil {
				t.Fatal(err)
			}
			got := applyOps(t, run, run, ops)
			run.End()
			if got != want {
				t.Fatalf("seed %d, command %d reads\n%s\nwant\n%s", seed, command, got, want)
			}
			if rnd.IntN(4) == 0 {
				if err := run.Commit([]byte("applied"), fmt.Append(nil, command)); err != nil {
					t.Fatal(err)
				}
				single.Set([]byte("applied"), fmt.Append(nil, command))
				if err := single.Commit(); err != nil {
					t.Fatal(err)
				}
				wantSame(t, many.View(), one.View())
			}
		}
		run.Close()
		single.Close()
		closeDB(t, one)
		closeDB(t, many)
	}
}

// TestRunShowsNothingBeforeCommit: readers of the state see a run whole.
func TestRunShowsNothingBeforeCommit(t *testing.T) {
	db := openDB(t, testOptions(NewCrashableFS()))
	defer closeDB(t, db)
	run := db.NewRun()
	defer run.Close()
	for i := range 3 {
		run.Set(fmt.Append(nil, i), []byte("v"))
		run.End()
	}
	wantContents(t, db.View(), "")
	if run.SizeBytes() == 0 {
		t.Error("no size")
	}
	if err := run.Commit(nil, nil); err != nil {
		t.Fatal(err)
	}
	wantContents(t, db.View(), "0=v 1=v 2=v")
	if err := run.Commit(nil, nil); err != nil {
		t.Errorf("a commit of nothing: %v", err)
	}
}

type op struct {
	kind   int // 0 set, 1 delete, 2 delete range, 3 get, 4 scan, 5 scan in reverse
	lo, hi string
}

func randomOps(rnd *rand.Rand) (ops []op) {
	key := func() string { return fmt.Sprintf("k%02d", rnd.IntN(30)) }
	for range rnd.IntN(6) {
		ops = append(ops, op{kind: rnd.IntN(6), lo: key(), hi: key()})
	}
	return ops
}

// applyOps performs a command's reads and writes and returns what it read.
func applyOps(t *testing.T, r machine.Reader, w machine.Writer, ops []op) (read string) {
	t.Helper()
	for i, o := range ops {
		switch o.kind {
		case 0:
			w.Set([]byte(o.lo), fmt.Append(nil, o.hi, i))
		case 1:
			w.Delete([]byte(o.lo))
		case 2:
			w.DeleteRange([]byte(o.lo), []byte(o.hi))
		case 3:
			v, ok, err := r.Get([]byte(o.lo))
			if err != nil {
				t.Fatal(err)
			}
			read += fmt.Sprintf("%s=%s %v\n", o.lo, v, ok)
		default:
			read += contents(t, r, min(o.lo, o.hi), max(o.lo, o.hi), o.kind == 5) + "\n"
		}
	}
	return read
}
