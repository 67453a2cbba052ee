"""The remote procedures of google.pubsub.v1.Publisher, as far as they are simulated."""

from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from local.pubsub.requests import Pb, check_publish, check_topic, existing
from local.pubsub.resources import Resources

_PAGE = 1000


class Publisher:
    """Topics, and publishing to them."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.procedures = {
            "CreateTopic": (self.create_topic, types.Topic),
            "GetTopic": (self.get_topic, types.GetTopicRequest),
            "ListTopics": (self.list_topics, types.ListTopicsRequest),
            "DeleteTopic": (self.delete_topic, types.DeleteTopicRequest),
            "Publish": (self.publish, types.PublishRequest),
        }

    def create_topic(self, topic: Pb) -> Pb:
        check_topic(topic)
        with self._resources.lock:
            if topic.name in self._resources.topics:
                raise existing(topic.name)
            self._resources.topics[topic.name] = topic
        return topic

    def get_topic(self, request: Pb) -> Pb:
        return self._resources.topic(request.topic)

    def list_topics(self, request: Pb) -> Pb:
        """A page of the topics, by name. The page token is the last name of the page before."""
        size = request.page_size or _PAGE
        with self._resources.lock:
            names = sorted(name for name in self._resources.topics if name.startswith(f"{request.project}/topics/"))
            rest = [self._resources.topics[name] for name in names if name > request.page_token]
        following = rest[size - 1].name if len(rest) > size else ""
        return types.ListTopicsResponse.pb()(topics=rest[:size], next_page_token=following)

    def delete_topic(self, request: Pb) -> Pb:
        """Delete a topic, but not its subscriptions. They still deliver the messages that they have."""
        with self._resources.lock:
            self._resources.topic(request.topic)
            del self._resources.topics[request.topic]
            for subscription in self._resources.subscriptions.values():
                if subscription.resource.topic == request.topic:
                    subscription.resource.topic = "_deleted-topic_"
        return Empty()

    def publish(self, request: Pb) -> Pb:
        check_publish(request)
        with self._resources.lock:
            self._resources.topic(request.topic)
            ids = self._resources.publish(request.topic, request.messages)
        return types.PublishResponse.pb()(message_ids=ids)
