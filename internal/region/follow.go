package region

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"weir.dev/weir/internal/model"
)

// A follower asks another region to ship everything to it, and takes no writes
// of clients for what it gets. It shows a token that the other region made as
// for a link, and names an invitation of its own: with that the other one opens
// a link here.

const (
	// followedName is what the inbound link of a follower is called.
	followedName = "primary"
	// followLife is how long the other region may take to open its link.
	followLife = 24 * time.Hour
)

// Follow asks the region at an address for all its tables, with a token that it
// made, and returns when the link is open. It may be called again, with the
// same token, when it failed; when this cluster follows already it does nothing.
// Errors: what the other region says.
func (e *Engine) Follow(ctx context.Context, to string, token [32]byte, authority [16]byte) error {
	if err := e.cluster.SyncCatalog(ctx); err != nil {
		return err
	}
	spec, following, err := e.invitePrimary(ctx, token)
	if err != nil || following {
		return err
	}
	c := e.cluster.Catalog()
	req := followRequest{
		Region: c.Region(), Name: c.Settings.RegionName, Addr: e.addresses(c), Authority: e.authority, TokenHash: spec.TokenHash,
	}
	_, err = e.callAnyOf(ctx, to, &Target{Authority: authority, Key: token}, OpFollow, req.Append(nil))
	var known *model.Error
	if errors.As(err, &known) && known.Kind == model.ErrAccessDenied && spec.Region != 0 {
		return nil // the link was opened by an earlier try, which used the token up
	}
	return err
}

// invitePrimary returns the inbound link of what is followed, which it makes if
// there is none. Its token is the one that the primary made: both know it. It
// reports whether something was shipped over it already.
func (e *Engine) invitePrimary(ctx context.Context, token [32]byte) (spec *model.InboundSpec, following bool, err error) {
	r, err := e.service.GetTied(ctx, model.KindInbound, followedName)
	if err == nil {
		found, err := decodeInbound(r)
		if err != nil {
			return nil, false, err
		}
		if found.Region != 0 {
			following, err = e.hasTables(ctx, r.ID)
		}
		if found.TokenHash == token || following || err != nil {
			return &found, following, err
		}
		if err := e.Expel(ctx, followedName); err != nil { // of an earlier token
			return nil, false, err
		}
	}
	spec = &model.InboundSpec{TokenHash: token, ExpiresMs: e.clock.Now().Add(followLife).UnixMilli(), Passive: true}
	_, err = e.service.CreateTied(ctx, model.KindInbound, followedName, spec.Append(nil))
	return spec, false, err
}

// hasTables reports whether a reader watches tables in the first tablet.
func (e *Engine) hasTables(ctx context.Context, reader model.ReaderID) (bool, error) {
	t, ok := e.cluster.Catalog().TabletOf(0)
	if !ok {
		return false, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
	}
	s, err := e.strongState(ctx, reader, t)
	return len(s.Tables) > 0, err
}

// addresses are those at which other regions reach this one.
func (e *Engine) addresses(c *model.Catalog) string {
	if e.addr != "" {
		return e.addr
	}
	var all []string
	for i := range c.Nodes {
		all = append(all, c.Nodes[i].PeerAddr)
	}
	return strings.Join(all, ",")
}

// followed opens a link to a region that asks for everything. The token is used
// up with it, and the link has the name that was given to the token.
func (e *Engine) followed(ctx context.Context, token [32]byte, body []byte) ([]byte, error) {
	var req followRequest
	if err := decode(body, &req); err != nil {
		return nil, err
	}
	r, spec, err := e.invitation(ctx, token)
	if err != nil {
		return nil, err
	}
	if spec.Region != 0 || e.clock.Now().UnixMilli() > spec.ExpiresMs {
		return nil, errKey
	}
	// The key comes from the token, so that an open whose answer is lost can be
	// asked again.
	err = e.Add(ctx, &Settings{
		Key: sha256.Sum256(append([]byte("weir follow\x00"), token[:]...)), Name: r.Name, To: req.Addr, Authority: req.Authority, TokenHash: req.TokenHash, Mode: model.LinkAsync, Tables: []string{"*"}, Queues: []string{"*"}, Streams: []string{"*"},
	})
	var known *model.Error
	if errors.As(err, &known) && known.Kind == model.ErrInUse && e.shipsTo(ctx, r.Name, req.Region) {
		err = nil // an earlier try got so far
	}
	if err != nil {
		return nil, err
	}
	e.log.Info("another region follows this one", "region", req.Name, "link", r.Name)
	return model.AppendString(nil, r.Name), e.service.DeleteTied(ctx, model.KindInbound, r.Name)
}

// shipsTo reports whether the link of a name leads to a region.
func (e *Engine) shipsTo(ctx context.Context, name string, to model.RegionID) bool {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return false
	}
	spec, err := decodeLink(r)
	return err == nil && spec.Region == to
}
