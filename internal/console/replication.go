package console

import (
	"context"
	"net/http"
	"strings"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// Replication is how durable the writes of a resource are at least, in the
// admin API: the body of POST /api/replication and the answer of GET.
type Replication struct {
	Resource string `json:"resource"` // table:NAME, queue:NAME or stream:NAME
	Level    string `json:"level"`    // async, quorum, all-if-up or all
}

// replicated are the kinds of resource that have a level, by their names here.
var replicated = []struct {
	name string
	kind model.ResourceKind
}{{"table", model.KindTable}, {"queue", model.KindQueue}, {"stream", model.KindStream}}

// parseResource reads KIND:NAME.
func parseResource(text string) (model.ResourceKind, string, error) {
	kind, name, _ := strings.Cut(text, ":")
	for _, r := range replicated {
		if r.name == kind && name != "" {
			return r.kind, name, nil
		}
	}
	return 0, "", model.Errorf(model.ErrValidation, "%.300q names no resource: say table:NAME, queue:NAME or stream:NAME", text)
}

func replicationView(r *service.Replication) Replication {
	for _, k := range replicated {
		if k.kind == r.Kind {
			return Replication{Resource: k.name + ":" + r.Name, Level: r.Level.String()}
		}
	}
	return Replication{Resource: r.Name, Level: r.Level.String()}
}

// showReplication answers with one resource, if the parameter resource names
// it, or with all.
func (c *console) showReplication(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	list := []Replication{}
	text := r.URL.Query().Get("resource")
	if text == "" {
		all, err := c.queues.ListReplication(ctx)
		for i := range all {
			list = append(list, replicationView(&all[i]))
		}
		return list, err
	}
	kind, name, err := parseResource(text)
	if err != nil {
		return nil, err
	}
	one, err := c.queues.GetReplication(ctx, kind, name)
	if err != nil {
		return nil, err
	}
	return append(list, replicationView(one)), nil
}

func (c *console) setReplication(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var b Replication
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	kind, name, err := parseResource(b.Resource)
	if err != nil {
		return nil, err
	}
	level, err := model.ParseLevel(b.Level)
	if err != nil {
		return nil, err
	}
	return struct{}{}, c.queues.SetReplication(ctx, kind, name, level)
}
