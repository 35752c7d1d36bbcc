package cluster

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

// disk is what Genesis writes to.
type disk struct {
	*storage.CrashableFS
	db      *storage.DB
	journal *journal.Journal
}

func (d *disk) open(t *testing.T) {
	t.Helper()
	fatal := func(err error) { t.Error(err) }
	var err error
	if d.db, err = storage.Open(storage.Options{FS: d, Dir: "data", CacheBytes: 1 << 20, Fatal: fatal}); err != nil {
		t.Fatal(err)
	}
	if d.journal, err = journal.Open(journal.Options{FS: d, Dir: "data/journal", Rand: base.NewRand(1), Fatal: fatal}); err != nil {
		t.Fatal(err)
	}
}

func (d *disk) close(t *testing.T) {
	t.Helper()
	if err := d.journal.Close(); err != nil {
		t.Error(err)
	}
	if err := d.db.Close(); err != nil {
		t.Error(err)
	}
}

// TestGenesisInterrupted crashes between the two halves of Genesis: the journal
// has the first logs, the storage has nothing. The next start makes it whole.
func TestGenesisInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := model.Node{ID: 1, PeerAddr: address(1)}
		made := disk{CrashableFS: storage.NewCrashableFS()}
		made.open(t)
		empty := disk{CrashableFS: storage.NewCrashableFS()}
		empty.open(t)
		// The journal of one, the storage of the other.
		if err := Genesis(empty.db, made.journal, testCluster, first, 3); err != nil {
			t.Fatal(err)
		}
		half := disk{CrashableFS: made.CrashClone(0, rand.New(rand.NewPCG(1, 1)))}
		made.close(t)
		empty.close(t)
		half.open(t)
		if _, ok, err := half.db.View().Get(keys.Applied(model.CatalogTablet)); ok || err != nil {
			t.Fatalf("the storage is not empty: %v, %v", ok, err)
		}
		if n := len(half.journal.Tablets()); n != 4 {
			t.Fatalf("the journal has %d tablets, want 4", n)
		}
		if err := Genesis(half.db, half.journal, testCluster, first, 3); err != nil {
			t.Fatal(err)
		}
		whole := disk{CrashableFS: half.CrashClone(0, rand.New(rand.NewPCG(1, 1)))}
		half.close(t)
		whole.open(t)
		defer whole.close(t)
		for id := range model.TabletID(4) {
			if _, ok, err := whole.db.View().Get(keys.Applied(id)); !ok || err != nil {
				t.Errorf("tablet %v: %v, %v", id, ok, err)
			}
			if last, err := whole.journal.Log(id).LastIndex(); last != 1 || err != nil {
				t.Errorf("the log of tablet %v ends at %d, %v", id, last, err)
			}
		}
	})
}

// TestGenesisOnce: a first node whose replica of the catalog was moved to other
// nodes does not found its cluster again when it is started.
func TestGenesisOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := model.Node{ID: 1, PeerAddr: address(1)}
		d := disk{CrashableFS: storage.NewCrashableFS()}
		d.open(t)
		defer d.close(t)
		if err := Genesis(d.db, d.journal, testCluster, first, 3); err != nil {
			t.Fatal(err)
		}
		b := d.db.NewBatch()
		lo, hi := keys.TabletSpan(model.CatalogTablet)
		b.DeleteRange(lo, hi)
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		b.Close()
		if err := Genesis(d.db, d.journal, testCluster, first, 3); err != nil {
			t.Fatal(err)
		}
		if _, again, err := d.db.View().Get(keys.Applied(model.CatalogTablet)); again || err != nil {
			t.Errorf("the cluster was founded again: %v", err)
		}
	})
}
