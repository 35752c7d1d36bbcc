package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

// TabletChange is the body of POST /api/tablets/ID.
type TabletChange struct {
	// Lead is the voter that shall lead the tablet, and go on leading it while
	// it can; none: the balance of leaders decides.
	Lead *model.NodeID `json:"lead"`
}

// ParseTablet reads a tablet's id, as 3 or t3.
func ParseTablet(text string) (model.TabletID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "t"), 10, 32)
	if err != nil {
		return 0, model.Errorf(model.ErrValidation, "%.64q is no tablet: say t3, or 3", text)
	}
	return model.TabletID(n), nil
}

// changeTablet moves a tablet's leader. It answers when that is done.
func (c *console) changeTablet(ctx context.Context, r *http.Request, body []byte) (any, error) {
	id, err := ParseTablet(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	var change TabletChange
	if err := unmarshal(body, &change); err != nil {
		return nil, err
	}
	var to model.NodeID
	if change.Lead != nil {
		to = *change.Lead
	}
	return struct{}{}, c.admin.TransferLeader(ctx, id, to)
}
