// Package lost keeps writes that were answered and then lost: at level async a
// leader answers before a majority has a write, and another leader's log may
// not have it. What this node had answered so, and its log gives up, goes into
// a file of the data directory for somebody to look at and put back; see
// docs/format/lost.md.
//
// It decides nothing: package tablet finds such writes, package cluster has
// them kept before the log forgets them. Save may be called from any goroutine.
// Start with Writes.
package lost

import (
	"encoding/base64"
	"encoding/json"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Write is one write of one item, as a line of a file holds it.
type Write struct {
	Table    string          `json:"table"` // its name; "" when the table was deleted since
	Resource uint64          `json:"resource"`
	Tablet   string          `json:"tablet"`
	Term     uint64          `json:"term"`
	Index    uint64          `json:"index"`
	Ordinal  uint32          `json:"ordinal"` // of the command within the entry, from 1
	Proposed string          `json:"proposed"`
	Answered bool            `json:"answered"` // surely; otherwise a run of the node that has ended may have
	Certain  bool            `json:"certain"`  // the log that won does not have it; otherwise a snapshot took its place, which may
	Op       string          `json:"op"`       // put or delete
	Key      string          `json:"key"`      // as weir dump writes it
	Item     json.RawMessage `json:"item,omitempty"`
}

// At is a command's place in the log that it was lost from.
type At struct {
	Tablet   model.TabletID
	Term     model.Term
	Index    model.Index
	Ordinal  uint32
	Answered bool
	Certain  bool
}

// stampForm is how a write's time is written.
const stampForm = "2006-01-02T15:04:05.000Z"

// Writes are the writes of a command; model.ErrCorrupt when it is damaged, or
// of a kind that is never answered early.
func Writes(at At, table string, cmd *model.Command) ([]Write, error) {
	base := Write{
		Table: table, Resource: uint64(cmd.Resource), Tablet: at.Tablet.String(), Term: uint64(at.Term), Index: uint64(at.Index), Ordinal: at.Ordinal,
		Proposed: cmd.Stamp.Time().Format(stampForm), Answered: at.Answered, Certain: at.Certain,
	}
	d := model.NewDecoder(cmd.Body)
	var entries []model.BatchEntry
	switch cmd.Kind {
	case model.CmdPutItem:
		var put model.PutItem
		put.Decode(d)
		entries = []model.BatchEntry{{Key: put.Key, Item: put.Item}}
	case model.CmdDeleteItem:
		var del model.DeleteItem
		del.Decode(d)
		entries = []model.BatchEntry{{Key: del.Key, Delete: true}}
	case model.CmdBatchWrite:
		var batch model.BatchWrite
		batch.Decode(d)
		entries = batch.Writes
	default:
		d.Fail()
	}
	if err := d.Done(); err != nil {
		return nil, err
	}
	list := make([]Write, 0, len(entries))
	for _, e := range entries {
		w := base
		w.Op, w.Key = "delete", keys.ItemString(e.Key)
		if !e.Delete {
			d := model.NewDecoder(e.Item)
			item := model.DecodeItem(d)
			if err := d.Done(); err != nil {
				return nil, err
			}
			text, err := json.Marshal(itemJSON(item))
			if err != nil {
				return nil, err
			}
			w.Op, w.Item = "put", text
		}
		list = append(list, w)
	}
	return list, nil
}

// itemJSON is an item in DynamoDB's JSON, as encoding/json takes it.
func itemJSON(item model.Item) map[string]any {
	m := make(map[string]any, len(item))
	for i := range item {
		m[item[i].Name] = valueJSON(&item[i].Value)
	}
	return m
}

func valueJSON(v *model.Value) map[string]any {
	var content any
	switch v.Kind {
	case model.KindB:
		content = base64.StdEncoding.EncodeToString([]byte(v.Str))
	case model.KindBool:
		content = v.Bool
	case model.KindNull:
		content = true
	case model.KindM:
		content = itemJSON(v.Map)
	case model.KindL:
		list := make([]any, len(v.List))
		for i := range v.List {
			list[i] = valueJSON(&v.List[i])
		}
		content = list
	case model.KindSS, model.KindNS, model.KindBS:
		list := make([]string, len(v.List))
		for i := range v.List {
			list[i] = v.List[i].Str
			if v.Kind == model.KindBS {
				list[i] = base64.StdEncoding.EncodeToString([]byte(list[i]))
			}
		}
		content = list
	default:
		content = v.Str
	}
	return map[string]any{v.Kind.String(): content}
}
