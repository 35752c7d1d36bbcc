package service

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// AWS's words for keys that do not fit a table.
const (
	msgKeySchema    = "The provided key element does not match the schema"
	msgKeyMissing   = "One or more parameter values were invalid: Missing the key %s in the item"
	msgKeyType      = "One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s"
	msgKeyEmpty     = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s"
	msgHashSize     = "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"
	msgRangeSize    = "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
	msgStartKey     = "The provided starting key is invalid"
	msgStartOutside = "The provided starting key is outside query boundaries based on provided conditions"
	msgStartSort    = "The provided starting key does not match the range key predicate"
	msgStartSegment = "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d"
)

// keyBuffer is room for most keys, so that encoding one allocates nothing.
type keyBuffer [160]byte

// appendItemKey appends the encoded key of a whole item and returns its slot.
func (t *table) appendItemKey(dst []byte, item model.Item) (key []byte, slot model.Slot, err error) {
	partition, sort, err := t.itemKey(item)
	if err != nil {
		return nil, 0, err
	}
	return appendKey(dst, partition, sort, &t.spec)
}

// itemKey finds the key in a whole item; sort is nil when the table has none.
func (t *table) itemKey(item model.Item) (partition, sort *model.Value, err error) {
	if partition, err = itemKeyAttr(item, &t.spec.Partition); err != nil || !t.spec.HasSort() {
		return partition, nil, err
	}
	sort, err = itemKeyAttr(item, &t.spec.Sort)
	return partition, sort, err
}

// itemKeyAttr returns a key attribute of a whole item.
func itemKeyAttr(item model.Item, attr *model.KeyAttr) (*model.Value, error) {
	v := item.Find(attr.Name)
	if v == nil {
		return nil, invalidf(msgKeyMissing, attr.Name)
	}
	if v.Kind != attr.Kind {
		return nil, invalidf(msgKeyType, attr.Name, attr.Kind, v.Kind)
	}
	return v, nil
}

// appendKey appends the encoded key of an item that is named by its key alone.
func (t *table) appendKey(dst []byte, key model.Item) (encoded []byte, slot model.Slot, err error) {
	partition, sort := key.Find(t.spec.Partition.Name), (*model.Value)(nil)
	wanted := 1
	if t.spec.HasSort() {
		sort = key.Find(t.spec.Sort.Name)
		wanted = 2
	}
	if len(key) != wanted || partition == nil || partition.Kind != t.spec.Partition.Kind ||
		wanted == 2 && (sort == nil || sort.Kind != t.spec.Sort.Kind) {
		return nil, 0, invalidf(msgKeySchema)
	}
	return appendKey(dst, partition, sort, &t.spec)
}

// appendKey encodes a key whose kinds are right; sort is nil when the table
// has none.
func appendKey(dst []byte, partition, sort *model.Value, spec *model.TableSpec) ([]byte, model.Slot, error) {
	if err := checkKeyValue(partition, spec.Partition.Name); err != nil {
		return nil, 0, err
	}
	if partition.Size() > model.MaxPartitionKeyBytes {
		return nil, 0, invalidf(msgHashSize)
	}
	start := len(dst)
	dst = keys.AppendValue(dst, *partition)
	slot := model.SlotOf(dst[start:])
	if sort == nil {
		return dst, slot, nil
	}
	if err := checkKeyValue(sort, spec.Sort.Name); err != nil {
		return nil, 0, err
	}
	if sort.Size() > model.MaxSortKeyBytes {
		return nil, 0, invalidf(msgRangeSize)
	}
	return keys.AppendValue(dst, *sort), slot, nil
}

func checkKeyValue(v *model.Value, name string) error {
	if v.Str != "" {
		return nil
	}
	what := "string"
	if v.Kind == model.KindB {
		what = "binary"
	}
	return invalidf(msgKeyEmpty, what, name)
}

// keyItem is the key attributes that an encoded key stands for.
func (t *table) keyItem(encoded []byte) (model.Item, error) {
	partition, rest, ok := keys.SplitValue(encoded)
	if !ok {
		return nil, model.ErrCorrupt
	}
	attrs := []model.Attr{{Name: t.spec.Partition.Name, Value: partition}}
	if t.spec.HasSort() {
		sort, after, ok := keys.SplitValue(rest)
		if !ok {
			return nil, model.ErrCorrupt
		}
		attrs, rest = append(attrs, model.Attr{Name: t.spec.Sort.Name, Value: sort}), after
	}
	if len(rest) > 0 {
		return nil, model.ErrCorrupt
	}
	item, _ := model.NewItem(attrs)
	return item, nil
}

// startKey encodes an ExclusiveStartKey.
func (t *table) startKey(key model.Item) (encoded []byte, slot model.Slot, err error) {
	encoded, slot, err = t.appendKey(nil, key)
	if err != nil {
		return nil, 0, invalidf(msgStartKey+": %s", err.Error())
	}
	return encoded, slot, nil
}
