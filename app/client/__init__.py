"""The former place of the client, which is a package of its own now: `client/sine_client`."""

from sine_client import AsyncClient as AsyncClient
from sine_client import Client as Client
from sine_client import Options as Options
from sine_client import Rollout as Rollout
from sine_client import ServiceError as ServiceError
