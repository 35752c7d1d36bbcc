package region

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// refused reports whether an error is that of a passive table.
func refused(err error) bool {
	var known *model.Error
	return errors.As(err, &known) && known.Kind == model.ErrUnavailable && strings.Contains(known.Message, "takes no writes in this region")
}

// TestFollow has a region follow another over a wire that loses messages: all
// tables come, also later ones, the follower refuses writes, and knows its lag.
func TestFollow(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		wire.set(func() { wire.lose = 30 })
		east.createTable("orders")
		east.put("orders", "k", "1")
		token := sha256.Sum256([]byte("follow"))
		if err := west.engine().Follow(ctx, "east0", token, [16]byte{}); err == nil {
			t.Fatal("a token that nobody made is good")
		}
		if err := east.engine().Invite(ctx, "copy", token, time.Hour); err != nil {
			t.Fatal(err)
		}
		west.await("it follows", func() bool { return west.engine().Follow(ctx, "east0,east1", token, [16]byte{}) == nil })
		wire.set(func() { wire.lose = 0 })
		east.await("the token is used up", func() bool {
			in, err := east.engine().Inbounds(ctx)
			return err == nil && len(in) == 0
		})
		east.createTable("later")
		east.put("later", "k", "2")
		west.await("all is there", func() bool { return west.get("orders", "k") == "1" && west.get("later", "k") == "2" })
		for _, table := range []string{"orders", "later"} {
			for i := range 10 { // in all tablets
				if err := west.tryPut(table, fmt.Sprint("own", i), "x"); !refused(err) {
					t.Errorf("a follower takes a write of %s: %v", table, err)
				}
			}
		}
		east.put("orders", "k", "3")
		west.await("changes come", func() bool { return west.get("orders", "k") == "3" })
		time.Sleep(5 * time.Second)
		in, err := west.engines[0].Inbounds(ctx)
		if err != nil || len(in) != 1 || in[0].Name != followedName || time.Since(in[0].Heard.At) > 5*time.Second || in[0].Heard.LagChanges != 0 {
			t.Errorf("%+v %v", in, err)
		}
	})
}

// TestRoles makes a region passive and active again; a role that only the
// catalog has heard of reaches the tablets all the same.
func TestRoles(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createTable("orders")
		east.link(west, Settings{Name: "to-west"})
		east.caughtUp("to-west")
		west.put("orders", "a", "1")
		if err := west.engine().SetPassive(ctx, "from-east-to-west", true); err != nil {
			t.Fatal(err)
		}
		if err := west.tryPut("orders", "a", "2"); !refused(err) {
			t.Errorf("a passive table takes a write: %v", err)
		}
		if err := west.engine().SetPassive(ctx, "from-east-to-west", false); err != nil {
			t.Fatal(err)
		}
		west.put("orders", "a", "3")
		if err := west.engine().SetPassive(ctx, "nobody", true); err == nil {
			t.Error("nobody has a role")
		}
		r, err := west.engine().tied(ctx, "from-east-to-west")
		if err != nil {
			t.Fatal(err)
		}
		if err := west.engine().updatePassive(ctx, r, true); err != nil { // and the node that was asked is gone
			t.Fatal(err)
		}
		west.await("the leaders bring it", func() bool { return refused(west.tryPut("orders", "a", "4")) })
		if err := west.engine().Expel(ctx, "from-east-to-west"); err != nil {
			t.Fatal(err)
		}
		if err := east.engine().SetPassive(ctx, "to-west", true); err != nil {
			t.Fatal(err)
		}
		if err := east.tryPut("orders", "a", "5"); !refused(err) {
			t.Errorf("a passive table takes a write: %v", err)
		}
	})
}
